#include "rollout/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iterator>
#include <set>

#include "base/text.h"
#include "cluster/phase.h"
#include "rollout/capacity.h"
#include "rollout/upgrade_checks.h"
#include "version/policy.h"

namespace afloat::rollout {
namespace {

Check pass(Check check, std::string found) {
  check.result = CheckResult::pass;
  check.found = std::move(found);
  check.action.clear();
  return check;
}

Check settle(Check check, CheckResult result, std::string found) {
  check.result = result;
  check.found = std::move(found);
  return check;
}

bool unpacked_everywhere(const std::string& release, const Observation& seen) {
  return !seen.hosts.empty() && std::ranges::all_of(seen.hosts, [&](const std::string& host) {
    const auto found = seen.host_releases.find(host);
    return found != seen.host_releases.end() && std::ranges::find(found->second, release) != found->second.end();
  });
}

Check hop_allowed(const std::string& from, const std::string& to, const Observation& seen) {
  Check check{.id = "hop_allowed",
              .title = "The way from this version to that one may roll",
              .why = "Nodes of two versions share one database during the upgrade; only some pairs are made for it.",
              .action = fmt::format("`afloat upgrade path --to {}` finds the way and names what it lacks.", to)};
  const auto source = version::parse_version(from);
  const auto target = version::parse_version(to);
  if (!source) return settle(std::move(check), CheckResult::fail, source.error().message());
  if (!target) return settle(std::move(check), CheckResult::fail, target.error().message());
  const auto advice = version::advise_hop(version::policy_of(version::Product::afloat), *source, *target, seen.target);
  const bool rolls = advice.verdict == version::HopVerdict::rolling;
  const bool takes_downtime = advice.verdict == version::HopVerdict::downtime;
  if (seen.offline && (rolls || takes_downtime))
    return pass(std::move(check), fmt::format("{} to {} with downtime, as it was asked for", from, to));
  // The way was found with what every manifest on it says. An offline run goes straight.
  if (!seen.offline && seen.way.size() == 1) return pass(std::move(check), fmt::format("{} to {} rolls", from, to));
  if (!seen.offline && seen.way.size() > 1)
    return pass(std::move(check), fmt::format("{} hops roll: {} to {}", seen.way.size(), from, join(seen.way, " to ")));
  if (rolls) return pass(std::move(check), advice.message);
  // Whether it takes downtime its bundle says, and the releases on the way: nobody is sent into a downtime for its
  // lack.
  if (takes_downtime && !seen.in_catalogue.value_or(true) && !unpacked_everywhere(to, seen))
    return settle(std::move(check), CheckResult::unknown, fmt::format("{} is not there to say how one goes to it", to));
  if (takes_downtime)
    check.action += fmt::format(" `afloat upgrade run --to {} --offline` goes straight there, with downtime.", to);
  return settle(std::move(check), CheckResult::fail, advice.message);
}

Check conductor_knows(const std::string& to, const Observation& seen) {
  Check check{.id = "conductor_version",
              .title = "The conductor is at least as new as the target",
              .why = "A conductor knows the steps of releases up to its own.",
              .action = "Install the newer program where the conductor runs, and start it again."};
  const auto target = version::parse_version(to);
  if (!target || seen.conductor_build == 0) return settle(std::move(check), CheckResult::unknown, "not asked");
  if (version::build_number(*target) > seen.conductor_build)
    return settle(std::move(check), CheckResult::warn, fmt::format("the conductor is older than {}", to));
  return pass(std::move(check), "it is");
}

Check phase_stable(const Observation& seen) {
  Check check{.id = "phase_stable",
              .title = "No other upgrade is under way",
              .why = "A second target in a mixed cluster could write data that the first one cannot read.",
              .action = "Finish or cancel the upgrade that is under way: `afloat upgrade cancel`."};
  const auto view = cluster::derive_phase(*seen.cluster);
  if (view.phase == cluster::Phase::STABLE) return pass(std::move(check), "STABLE");
  return settle(std::move(check), CheckResult::fail,
                fmt::format("{}: {}", cluster::to_string(view.phase), view.reason));
}

Check members_active(const Observation& seen) {
  Check check{.id = "members_active",
              .title = "Every member is ACTIVE, on one version",
              .why = "An upgrade takes one node out at a time; the rest must carry the site.",
              .action = "Start the node that is missing, or take it out of the roster: `afloat nodes remove NAME`.",
              .may_settle = true};
  std::set<std::string> versions;
  std::vector<std::string> bad;
  for (const auto& member : seen.cluster->members) {
    versions.insert(member.version);
    const auto state = cluster::effective_state(member);
    if (state != cluster::NodeState::ACTIVE)
      bad.push_back(fmt::format("{} is {}", member.name, cluster::to_string(state)));
  }
  if (!bad.empty()) return settle(std::move(check), CheckResult::fail, join(bad, ", "));
  if (versions.size() != 1)
    return settle(std::move(check), CheckResult::fail,
                  fmt::format("versions: {}", join({versions.begin(), versions.end()}, ", ")));
  return pass(std::move(check), fmt::format("{} members on {}", seen.cluster->members.size(), *versions.begin()));
}

Check enough_nodes(const Observation& seen) {
  Check check{.id = "enough_nodes",
              .title = "At least two nodes",
              .why = "With one node, upgrading it means downtime.",
              .action = "Add a node, or plan a downtime window."};
  const auto count = seen.cluster->members.size();
  return count >= 2 || seen.offline ? pass(std::move(check), fmt::format("{} nodes", count))
                                    : settle(std::move(check), CheckResult::fail, fmt::format("{} node(s)", count));
}

Check edition(const Observation& seen) {
  Check check{.id = "edition",
              .title = "The edition allows clustering",
              .why = "A rolling upgrade needs more than one node.",
              .action = "Set edition = \"data-center\" in the site's config, or plan a downtime window."};
  return seen.edition == "data-center" || seen.offline ? pass(std::move(check), seen.edition)
                                                       : settle(std::move(check), CheckResult::fail, seen.edition);
}

Check encoding(const Observation& seen) {
  Check check{.id = "database_encoding",
              .title = "The database is in UTF8",
              .why = "Pages hold any script; another encoding loses text.",
              .action = "Move the site to a database created with encoding UTF8."};
  if (seen.database_encoding.empty()) return settle(std::move(check), CheckResult::unknown, "not asked");
  return seen.database_encoding == "UTF8" ? pass(std::move(check), "UTF8")
                                          : settle(std::move(check), CheckResult::fail, seen.database_encoding);
}

Check replicas(const Observation& seen) {
  Check check{.id = "database_replicas",
              .title = "A fail-over of the database takes nothing back",
              .why =
                  "After a fail-over to a replica that lacks the latest commits, saves are gone and the site is in an "
                  "earlier state of the upgrade: its nodes stop and the run pauses.",
              .action =
                  "Set synchronous_standby_names in PostgreSQL for the time of the upgrade, or don't fail over "
                  "while it runs."};
  if (!seen.replicas) return settle(std::move(check), CheckResult::unknown, "not asked");
  const auto& [connected, synchronous] = *seen.replicas;
  if (!synchronous.empty()) return pass(std::move(check), "commits wait for " + synchronous);
  if (connected == 0) return pass(std::move(check), "no replica is connected");
  return settle(std::move(check), CheckResult::warn,
                fmt::format("{} replica(s) connected, none synchronous", connected));
}

Check no_open_tasks(const Observation& seen) {
  Check check{.id = "tasks_finished",
              .title = "No unfinished upgrade task",
              .why = "A task of an earlier upgrade that still runs changes the data that this one relies on.",
              .action = "Wait until it is done; a failed one: see `afloat status`, then retry it."};
  std::vector<std::string> open;
  // `recheck` is what cancel leaves behind: the next run takes it up again. Backfill and contract of a
  // cancelled upgrade wait for their target and are not unfinished work.
  for (const auto& task : seen.cluster->tasks)
    if (task.state == cluster::TaskState::running || task.state == cluster::TaskState::failed)
      open.push_back(fmt::format("{} ({})", task.id, cluster::to_string(task.state)));
  return open.empty() ? pass(std::move(check), "none") : settle(std::move(check), CheckResult::fail, join(open, ", "));
}

Check release_present(const std::string& to, const Observation& seen) {
  Check check{.id = "release_present",
              .title = "The release is there for every host",
              .why = "A host without the release cannot take it up half-way through.",
              .action = fmt::format(
                  "Put the bundle of {} into the catalogue; `afloat releases list` shows what is there.", to)};
  if (unpacked_everywhere(to, seen)) return pass(std::move(check), "unpacked and verified on every host");
  if (!seen.in_catalogue) return settle(std::move(check), CheckResult::unknown, "the catalogue was not asked");
  if (*seen.in_catalogue) return pass(std::move(check), "in the catalogue");
  return settle(std::move(check), CheckResult::fail,
                fmt::format("{} is not in the catalogue{}{}", to, seen.catalogue_has.empty() ? "" : ", which has ",
                            join(seen.catalogue_has, ", ")));
}

Check bundle(const Observation& seen) {
  Check check{.id = "bundle",
              .title = "The release is whole, and signed by a key that this site trusts",
              .why = "A bundle is a program that runs on every host; only its signature tells who made it.",
              .action = "Get the bundle again with its signature, from where it was published."};
  if (!seen.bundle) return settle(std::move(check), CheckResult::unknown, "there is no bundle to look at");
  if (!seen.bundle->problem.empty()) return settle(std::move(check), CheckResult::fail, seen.bundle->problem);
  if (!seen.bundle->keys) {
    check.action = "Set trusted_keys in the site's config to the public key of those who make your releases.";
    return settle(std::move(check), CheckResult::warn, "the site has no trusted_keys: signatures are not checked");
  }
  return pass(std::move(check), "signed by key " + seen.bundle->signed_by);
}

Check notes_acknowledged(const std::string& to, const Observation& seen) {
  Check check{.id = "notes_acknowledged",
              .title = "The release notes of the target and of every version in between were read",
              .why = "They tell what changes for users, apps and administrators, and what to do first.",
              .action = fmt::format("Read them with `afloat upgrade notes --to {0}` and acknowledge them with "
                                    "`afloat upgrade notes --to {0} --acknowledge`, or start the run with "
                                    "--acknowledge-notes.",
                                    to)};
  if (!seen.notes)
    return settle(std::move(check), CheckResult::unknown, "the catalogue was not asked, or has not got it");
  const auto& notes = *seen.notes;
  if (notes.unread.empty())
    return pass(std::move(check), notes.read.empty() ? "there are no notes on the way"
                                                     : fmt::format("{}, by {}", join(notes.read, ", "), notes.readers));
  const auto unread = fmt::format("not acknowledged: {}", join(notes.unread, ", "));
  if (notes.recordable) return settle(std::move(check), CheckResult::fail, unread);
  // Of an older release, or without a catalogue that has the target: a run that it took must not fail for that.
  check.action = "Read them with `afloat releases show VERSION`.";
  return settle(std::move(check), CheckResult::warn, unread + "; the node that took the run could not record it");
}

Check agents_answer(const Observation& seen) {
  Check check{.id = "agents_answer",
              .title = "Every host's agent answers and knows its nodes",
              .why = "Nodes are stopped, switched and started by the agent of their host.",
              .action = "Start the agent: `afloat agent` on that host.",
              .may_settle = true};
  if (seen.hosts.empty())
    return settle(std::move(check), CheckResult::unknown, "nobody has told: no conductor leads, or it gets no answer");
  std::vector<std::string> bad;
  for (const auto& host : seen.hosts)
    if (!seen.host_releases.contains(host)) bad.push_back("no answer from " + host);
  for (const auto& member : seen.cluster->members) {
    const auto* view = find_node(seen, member.name);
    if (seen.host_releases.contains(member.host) && (!view || !view->process))
      bad.push_back(fmt::format("the agent of {} does not know {}", member.host, member.name));
    else if (std::ranges::find(seen.hosts, member.host) == seen.hosts.end())
      bad.push_back(fmt::format("{} runs on host {}, which the site's config does not name", member.name, member.host));
  }
  return bad.empty() ? pass(std::move(check), fmt::format("{} host(s)", seen.hosts.size()))
                     : settle(std::move(check), CheckResult::fail, join(bad, ", "));
}

Check surge_node(const Observation& seen) {
  Check check{.id = "surge_node",
              .title = "The surge node can be added",
              .why = "It is to carry a share of the load while the others are taken out one by one.",
              .action = "Start the conductor with --surge-node NAME, or the run without --surge always."};
  if (!seen.surge) return settle(std::move(check), CheckResult::fail, "this conductor has none");
  const auto& [name, host] = *seen.surge;
  const auto* view = find_node(seen, name);
  if (view && view->process) return pass(std::move(check), name);
  check.action =
      fmt::format("Start the agent of {} again: it reads site.toml when it starts, and its nodes go on.", host);
  if (!seen.host_releases.contains(host))
    return settle(std::move(check), CheckResult::unknown, fmt::format("the agent of {} does not answer", host));
  return settle(std::move(check), CheckResult::fail, fmt::format("the agent of {} does not know {}", host, name));
}

Check balancer(const Observation& seen) {
  Check check{.id = "balancer",
              .title = "The load balancer knows each node and has it UP",
              .why = "It must take the traffic of the node that leaves.",
              .action = "Add the node to the balancer's backend, or see why its health check fails.",
              .may_settle = true};
  std::vector<std::string> bad;
  bool asked = false;
  for (const auto& member : seen.cluster->members) {
    const auto* view = find_node(seen, member.name);
    if (!view || !view->balancer) {
      bad.push_back(member.name + " is unknown");
      continue;
    }
    asked = true;
    if (!view->balancer->up())
      bad.push_back(fmt::format("{} is {}, weight {} of {}", member.name, view->balancer->status,
                                view->balancer->weight, view->balancer->full_weight));
  }
  if (!asked && seen.hosts.empty())
    return settle(std::move(check), CheckResult::unknown, "nobody has told: no conductor leads, or it gets no answer");
  return bad.empty() ? pass(std::move(check), "UP") : settle(std::move(check), CheckResult::fail, join(bad, ", "));
}

}  // namespace

std::string_view to_string(CheckResult result) {
  switch (result) {
    case CheckResult::pass:
      return "pass";
    case CheckResult::warn:
      return "warn";
    case CheckResult::fail:
      return "fail";
    case CheckResult::unknown:
      break;
  }
  return "unknown";
}

NotesView view_of(const std::vector<version::ReleaseNotes>& notes, const std::vector<version::ReadNotes>& read,
                  bool recordable) {
  NotesView view;
  view.recordable = recordable;
  std::vector<std::string> readers;
  for (const auto& each : notes) {
    const auto* by = version::find_read(read, each);
    (by ? view.read : view.unread).push_back(each.version);
    if (by && std::ranges::find(readers, by->actor) == readers.end()) readers.push_back(by->actor);
  }
  view.readers = join(readers, ", ");
  return view;
}

std::vector<Check> preflight(const std::string& from, const std::string& to, const Observation& seen) {
  std::vector<Check> checks{hop_allowed(from, to, seen),
                            conductor_knows(to, seen),
                            edition(seen),
                            encoding(seen),
                            replicas(seen),
                            release_present(to, seen),
                            bundle(seen),
                            notes_acknowledged(to, seen)};
  if (!seen.cluster) return checks;
  checks.push_back(phase_stable(seen));
  checks.push_back(enough_nodes(seen));
  checks.push_back(members_active(seen));
  checks.push_back(no_open_tasks(seen));
  checks.push_back(agents_answer(seen));
  if (seen.surge || seen.surge_missing) checks.push_back(surge_node(seen));
  checks.push_back(balancer(seen));
  std::ranges::move(upgrade_checks(to, seen), std::back_inserter(checks));
  return checks;
}

std::string link_of(const Check& check) { return "docs/checks.md#" + check.id; }

std::string to_json(const std::vector<Check>& checks) {
  boost::json::array array;
  for (const auto& check : checks)
    array.push_back(boost::json::object{{"id", check.id},
                                        {"title", check.title},
                                        {"result", std::string(to_string(check.result))},
                                        {"found", check.found},
                                        {"why", check.why},
                                        {"action", check.action},
                                        {"link", link_of(check)}});
  return boost::json::serialize(array);
}

}  // namespace afloat::rollout
