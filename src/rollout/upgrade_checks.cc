#include "rollout/upgrade_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "rollout/health.h"

namespace afloat::rollout {
namespace {

using enum CheckResult;

/// For those who are listed by the digest of one version's manifest: one digest, and from everybody.
struct Digests {
  std::map<std::string, std::vector<std::string>> who;  ///< digest -> names
  std::vector<std::string> silent;
  void add(const std::string& digest, std::string name) {
    if (digest.empty())
      silent.push_back(std::move(name));
    else
      who[digest].push_back(std::move(name));
  }
  std::string different() const {
    std::vector<std::string> parts;
    for (const auto& [digest, names] : who)
      parts.push_back(fmt::format("{} on {}", digest.substr(0, 12), join(names, ", ")));
    return join(parts, "; ");
  }
};

}  // namespace

Check database_version(const Observation& seen) {
  // 13 brought pg_current_xact_id(), which the change log reads by. What is newer than tested is allowed, and said.
  constexpr int lowest = 13, tested = 15;
  Check check{.id = "database_version",
              .title = "PostgreSQL's version is supported",
              .why = "The change log and online schema changes rely on what PostgreSQL does from 13 on.",
              .action = fmt::format(
                  "Afloat is tested with PostgreSQL {}. Move to it, or try the upgrade on a copy first.", tested)};
  const auto* database = database_facts(seen);
  if (!database || database->version_number == 0)
    return answered(std::move(check), {unknown, database ? "it does not tell" : database_silent_because(seen)});
  const int major = database->version_number / 10'000;
  return answered(std::move(check), {major < lowest ? fail : major != tested ? warn : pass, database->version});
}

Check database_privileges(const Observation& seen) {
  Check check{
      .id = "database_privileges",
      .title = "Afloat's database user may change the schema",
      .why = "The first step of an upgrade adds columns and indexes; only the owner of a table may.",
      .action =
          "Make it the owner: alter database NAME owner to USER; reassign owned by OTHER to USER. Connect directly, "
          "not through a pooler."};
  const auto* database = database_facts(seen);
  if (!database) return answered(std::move(check), {unknown, database_silent_because(seen)});
  if (!database->may_create)
    return answered(std::move(check),
                    {fail, fmt::format("{} may not create tables in {}", database->user, database->name)});
  if (!database->not_owned.empty())
    return answered(std::move(check),
                    {fail, fmt::format("the table {} does not belong to {}", database->not_owned, database->user)});
  if (!database->settings_arrive)
    return answered(
        std::move(check),
        {warn, "the time limits that a session asks for when it begins do not hold: is there a pooler in between?"});
  return answered(std::move(check), {pass, fmt::format("{} owns the tables of {}", database->user, database->name)});
}

Check database_embedded(const Observation& seen) {
  Check check{
      .id = "database_embedded",
      .title = "The database is one of your own",
      .why = "The one that `afloat up` starts is for trials: it ends with that program, and nobody backs it up.",
      .action = "For a site that matters, move to a PostgreSQL server of yours."};
  const auto* database = database_facts(seen);
  if (!database) return answered(std::move(check), {unknown, database_silent_because(seen)});
  return answered(std::move(check),
                  database->embedded ? Judgement{warn, "started by `afloat up`"} : Judgement{pass, "it is"});
}

Check capacity(const Observation& seen) {
  const auto limit = Options{}.max_load;
  Check check{.id = "capacity",
              .title = "The nodes that stay can carry the load",
              .why = "An upgrade takes one node out at a time.",
              .action =
                  "Upgrade when less is going on, or add a node. A run waits before each node until the others are "
                  "below its --max-load."};
  if (!seen.cluster || seen.cluster->members.empty())
    return answered(std::move(check), {unknown, "the roster could not be read"});
  const auto count = seen.cluster->members.size();
  if (seen.offline) return answered(std::move(check), {pass, "all nodes go down together, as it was asked for"});
  if (count < 2) return answered(std::move(check), {fail, "there is no other node"});
  double load = 0;
  for (const auto& member : seen.cluster->members) load += member.load;
  const auto without = load / static_cast<double>(count - 1);
  return answered(std::move(check), {without > limit ? warn : pass,
                                     fmt::format("the other {} would be {:.0f} % busy, the limit is {:.0f} %",
                                                 count - 1, without * 100, limit * 100)});
}

Check backfill_finished(const Observation& seen) {
  Check check{
      .id = "backfill_finished",
      .title = "The last upgrade's data is all in its new form",
      .why = "The next release drops the form before that one; rows that are left behind would be lost.",
      .action = "Finish the last upgrade: `afloat upgrade finalize --wait`; a failed task: `afloat upgrade retry`."};
  if (!seen.cluster || !seen.cluster->state)
    return answered(std::move(check), {unknown, "the ledger of upgrade tasks could not be read"});
  std::vector<std::string> open;
  // Those of a target above the cluster's version were left by a cancelled upgrade: the next one takes them up.
  for (const auto& task : seen.cluster->tasks)
    if (task.kind != cluster::TaskKind::expand && task.build <= seen.cluster->state->cluster_build &&
        task.state != cluster::TaskState::done)
      open.push_back(fmt::format("{} is {}{}", task.id, task.state_text,
                                 task.total > 0 ? fmt::format(" ({} of {})", task.done, task.total) : ""));
  return answered(std::move(check), open.empty() ? Judgement{pass, "it is"} : Judgement{fail, join(open, ", ")});
}

Check balancer_check(const Observation& seen) {
  constexpr std::int64_t asked_within_ms = 60'000;
  Check check{
      .id = "balancer_check",
      .title = "The load balancer's health check follows /status",
      .why =
          "A node that leaves answers 503 there before it closes; a balancer that only looks at the port sends users "
          "into it.",
      .action = "At the balancer: option httpchk, GET /status, expect status 200, and `check` for every server."};
  if (!seen.cluster) return answered(std::move(check), {unknown, "the roster could not be read"});
  auto result = pass;
  std::vector<std::string> found;
  for (const auto& member : seen.cluster->members) {
    const auto* view = find_node(seen, member.name);
    Judgement verdict{pass, {}};
    if (!view || !view->balancer)
      verdict = {unknown, "the balancer was not asked; a conductor that leads asks it"};
    else if (view->balancer->status == "no check")
      verdict = {fail, "not checked at all"};
    else if (view->balancer->check.starts_with("L4OK") || view->balancer->check.starts_with("L6OK"))
      verdict = {fail, fmt::format("only its port is looked at ({})", view->balancer->check)};
    else if (view->balancer->check.empty())
      verdict = {unknown, "the balancer does not tell how it checks"};
    else if (!view->balancer->check.starts_with("L7OK"))
      verdict = {warn, fmt::format("the last check said {}", view->balancer->check)};
    // That something answers over HTTP does not say what was asked for; the node knows.
    else if (const auto* facts = facts_of(seen, member); !facts || !facts->status_asked_ago_ms)
      verdict = {unknown, facts ? "it does not tell" : silent_because(seen, member)};
    else if (*facts->status_asked_ago_ms > asked_within_ms)
      verdict = {fail, fmt::format("its check is of another page: nobody has asked for /status for {}",
                                   duration_text(*facts->status_asked_ago_ms))};
    result = worse(result, verdict.result);
    if (verdict.result != pass) found.push_back(fmt::format("{}: {}", member.name, verdict.found));
  }
  return answered(std::move(check), {result, found.empty() ? "each node is asked for /status" : join(found, "; ")});
}

Check same_release(const std::string& to, const Observation& seen) {
  Check check{.id = "same_release",
              .title = "One version is one build, everywhere",
              .why = "Two builds under one version are told apart by nobody: one of them was never tested.",
              .action = "Give the newer build a version of its own, and install the same bundle on every host."};
  if (!seen.cluster) return answered(std::move(check), {unknown, "the roster could not be read"});
  std::map<std::string, Digests> of_version;
  for (const auto& member : seen.cluster->members) of_version[member.version].add(member.digest, member.name);
  if (const auto* conductor = conductor_facts(seen))
    for (const auto& [host, told] : conductor->hosts)
      if (const auto found = told.releases.find(to); found != told.releases.end())
        of_version[to].add(found->second, "host " + host);
  auto result = pass;
  std::vector<std::string> found;
  for (const auto& [version, digests] : of_version) {
    if (digests.who.size() > 1) {
      result = fail;
      found.push_back(fmt::format("{} has the manifest {}", version, digests.different()));
    } else if (!digests.silent.empty()) {
      result = worse(result, unknown);
      found.push_back(fmt::format("{} on {} was not unpacked from a bundle", version, join(digests.silent, ", ")));
    }
  }
  return answered(std::move(check), {result, found.empty() ? "the same digest on every node" : join(found, "; ")});
}

Check release_files(const Observation& seen) {
  Check check{
      .id = "release_files",
      .title = "No file of the installed release was changed",
      .why = "A change made by hand is gone after the upgrade, and damage shows when it is too late.",
      .action =
          "Keep your change elsewhere, then put the file back from the bundle: tar -xf afloat-VERSION.tar.zst PATH."};
  return of_each_node(std::move(check), seen, "all as in the manifest", [](const auto&, const NodeFacts& node) {
    const auto& release = node.release;
    if (!release.problem.empty()) return Judgement{unknown, release.problem};
    if (!release.in_bundle) return Judgement{unknown, "its program was not unpacked from a bundle"};
    return release.changed.empty() ? Judgement{pass, {}} : Judgement{fail, "changed: " + join(release.changed, ", ")};
  });
}

Check configuration(const Observation& seen) {
  Check check{
      .id = "configuration",
      .title = "Every node has the same site-wide settings",
      .why =
          "Nodes that differ answer one question in two ways; which one a user meets changes while nodes are replaced.",
      .action = "Copy one site.toml to every host, then restart the nodes that differ."};
  if (!seen.cluster) return answered(std::move(check), {unknown, "the roster could not be read"});
  std::map<std::string, std::set<std::string>> values;  // of each key
  std::vector<std::string> silent;
  for (const auto& member : seen.cluster->members) {
    const auto* facts = facts_of(seen, member);
    if (!facts || facts->settings.empty())
      silent.push_back(fmt::format("{}: {}", member.name, facts ? "it does not tell" : silent_because(seen, member)));
    if (!facts) continue;
    for (const auto& [key, digest] : facts->settings) values[key].insert(digest);
  }
  std::vector<std::string> different;
  for (const auto& [key, digests] : values)
    if (digests.size() > 1) different.push_back(key);
  // No reason to refuse a run: it starts every node again, with what its host's file says then.
  if (!different.empty()) return answered(std::move(check), {warn, "they differ in " + join(different, ", ")});
  if (!silent.empty()) return answered(std::move(check), {unknown, join(silent, "; ")});
  return answered(std::move(check), {pass, fmt::format("{} keys alike", values.size())});
}

std::vector<Check> upgrade_checks(const std::string& to, const Observation& seen) {
  return {capacity(seen),          backfill_finished(seen), balancer_check(seen),   same_release(to, seen),
          release_files(seen),     configuration(seen),     database_version(seen), database_privileges(seen),
          database_embedded(seen), long_transactions(seen)};
}

}  // namespace afloat::rollout
