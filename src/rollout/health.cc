#include "rollout/health.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace afloat::rollout {
namespace {

using enum CheckResult;

constexpr std::int64_t day_ms = 24 * 3'600'000;

std::string shown_bytes(std::int64_t bytes) {
  return human_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)));
}

/// Ten per cent, but a large disk has room enough with less, and a small one is soon full with more.
Judgement judge_disk(std::string_view what, const Disk& disk) {
  constexpr std::int64_t full = 256'000'000, little = 1'000'000'000, plenty = 20'000'000'000;
  if (!disk.problem.empty()) return {fail, fmt::format("{} can't be written: {}", what, disk.problem)};
  if (disk.free_bytes < 0 || disk.total_bytes <= 0) return {unknown, fmt::format("it does not tell about {}", what)};
  const auto found =
      fmt::format("{} has {} of {} free", what, shown_bytes(disk.free_bytes), shown_bytes(disk.total_bytes));
  if (disk.free_bytes < full) return {fail, found};
  const bool tight = disk.free_bytes < disk.total_bytes / 10 && disk.free_bytes < plenty;
  return {tight || disk.free_bytes < little ? warn : pass, found};
}

}  // namespace

Check members_well(const Observation& seen) {
  Check check{.id = "members_well",
              .title = "Every member of the cluster serves",
              .why = "Those that are left carry all the load, and a stopped member holds up the next upgrade.",
              .action = "Start it, or take it out of the roster for good: `afloat nodes remove NAME`."};
  if (!seen.cluster || seen.cluster->members.empty())
    return answered(std::move(check), {unknown, "the roster could not be read"});
  std::vector<std::string> found;
  for (const auto& member : seen.cluster->members)
    if (cluster::effective_state(member) != cluster::NodeState::ACTIVE)
      found.push_back(fmt::format("{} is {}", member.name, cluster::shown_state(member)));
  if (!found.empty()) return answered(std::move(check), {fail, join(found, ", ")});
  return answered(std::move(check), {pass, fmt::format("{} ACTIVE", seen.cluster->members.size())});
}

Check agents_well(const Observation& seen) {
  Check check{.id = "agents_well",
              .title = "Every host's agent answers",
              .why = "A node that ends is started again by its host's agent; without it the node stays away.",
              .action =
                  "Start the agent on that host (`afloat agent`); one that hangs is ended and started again. Its "
                  "nodes go on meanwhile."};
  const auto* conductor = conductor_facts(seen);
  if (!conductor) return answered(std::move(check), {unknown, "nobody has told: no conductor leads"});
  std::vector<std::string> found;
  for (const auto& [host, agent] : conductor->hosts)
    if (!agent.problem.empty())
      found.push_back(agent.problem.contains(host) ? agent.problem : fmt::format("{}: {}", host, agent.problem));
  if (!found.empty()) return answered(std::move(check), {fail, join(found, ", ")});
  return answered(std::move(check), {pass, fmt::format("{} host(s)", conductor->hosts.size())});
}

Check open_files(const Observation& seen) {
  Check check{.id = "open_files",
              .title = "Every node has file handles left",
              .why = "Each connection and each file is one; a node without any refuses users.",
              .action = "Raise the limit where the node is started (ulimit -n, LimitNOFILE), then restart it."};
  return of_each_node(
      std::move(check), seen, "below 70 % of the limit on every node", [](const auto&, const NodeFacts& node) {
        if (node.open_files < 0 || node.open_files_limit <= 0) return Judgement{unknown, "it does not tell"};
        const auto percent = node.open_files * 100 / node.open_files_limit;
        return Judgement{percent >= 90   ? fail
                         : percent >= 70 ? warn
                                         : pass,
                         fmt::format("{} of {} open ({} %)", node.open_files, node.open_files_limit, percent)};
      });
}

Check process_limit(const Observation& seen) {
  constexpr int enough = 4096;
  Check check{
      .id = "process_limit",
      .title = "Every node may start enough threads",
      .why = "Threads count as processes of the node's user; where none is left, requests wait or the node ends.",
      .action = "Raise it to 4096 or more (ulimit -u, LimitNPROC, TasksMax), then restart the node."};
  return of_each_node(std::move(check), seen, "4096 or more on every node", [](const auto&, const NodeFacts& node) {
    if (node.process_limit < 0) return Judgement{unknown, "it does not tell"};
    const bool well = node.process_limit == 0 || node.process_limit >= enough;
    return Judgement{well ? pass : warn, fmt::format("{} processes", node.process_limit)};
  });
}

Check disk_space(const Observation& seen) {
  Check check{
      .id = "disk_space",
      .title = "There is room on each host and in the shared home",
      .why = "Attachments and releases are written there. A full disk fails saves and stops an upgrade half-way.",
      .action = "Make room there, or enlarge the file system."};
  return of_each_node(std::move(check), seen, "room on every host", [](const auto&, const NodeFacts& node) {
    const auto data = judge_disk("its data folder", node.data), home = judge_disk("the shared home", node.shared_home);
    Judgement both{worse(data.result, home.result), {}};
    for (const auto& one : {data, home})
      if (one.result != pass) both.found += (both.found.empty() ? "" : ", ") + one.found;
    return both;
  });
}

Check shared_home(const Observation& seen) {
  // A file just made may be out of sight for a while where the shared home is a network file system.
  constexpr std::int64_t seen_after_ms = 30'000, stale_ms = 60'000;
  Check check{.id = "shared_home",
              .title = "All nodes share one home, and can write there",
              .why =
                  "Attachments and the key for sessions are there. A node with a home of its own serves what others "
                  "don't have.",
              .action = "Mount the same file system at `shared_home` on every host, writable for the node's user."};
  const auto* cluster = seen.cluster ? &*seen.cluster : nullptr;
  return of_each_node(
      std::move(check), seen, "each node reads what the others write", [&](const auto& name, const NodeFacts& node) {
        if (!node.shared_home.problem.empty()) return Judgement{fail, "it can't write: " + node.shared_home.problem};
        if (node.marker.empty()) return Judgement{unknown, "it does not tell"};
        for (const auto& other : cluster->members) {
          const auto* theirs = facts_of(seen, other);
          if (other.name == name || !theirs || theirs->marker.empty()) continue;
          const auto found = node.markers.find(other.name);
          const bool missing = found == node.markers.end();
          const auto written = parse_int(theirs->marker), read = missing ? std::nullopt : parse_int(found->second);
          if (read && written && *written - *read <= stale_ms) continue;
          if (missing && seen.now_ms - other.active_at_ms < seen_after_ms)
            return Judgement{unknown, fmt::format("{} is new; ask again in half a minute", other.name)};
          return Judgement{fail,
                           fmt::format("{} {}: it has another shared home",
                                       missing ? "it does not see the file of" : "it sees an old file of", other.name)};
        }
        return Judgement{pass, {}};
      });
}

Check clocks(const Observation& seen) {
  constexpr std::int64_t noticeable_ms = 500, wrong_ms = 1'000;
  Check check{
      .id = "clocks",
      .title = "Clocks agree with the database's",
      .why = "Afloat itself goes by the database's clock; sign-ins, certificates and logs of several hosts do not.",
      .action = "Run NTP (chrony, systemd-timesyncd) on that host, and on the database's."};
  return of_each_node(std::move(check), seen, "less than half a second apart", [](const auto&, const NodeFacts& node) {
    if (!node.clock_off_ms) return Judgement{unknown, "it could not compare"};
    const auto off = std::abs(*node.clock_off_ms);
    return Judgement{off >= wrong_ms        ? fail
                     : off >= noticeable_ms ? warn
                                            : pass,
                     fmt::format("{} ms {} the database", off, *node.clock_off_ms > 0 ? "ahead of" : "behind")};
  });
}

Check long_transactions(const Observation& seen) {
  constexpr std::int64_t blocks_ms = 60'000;
  constexpr std::size_t most_named = 5;
  Check check{.id = "long_transactions",
              .title = "No transaction is open for long",
              .why = "Changing a table waits for every transaction that has read it, and keeps it from being vacuumed.",
              .action = "Let it end, or end it: select pg_terminate_backend(PID). A dump: upgrade when it is done.",
              .may_settle = true};
  const auto* database = database_facts(seen);
  if (!database) return answered(std::move(check), {unknown, database_silent_because(seen)});
  auto result = pass;
  std::vector<std::string> found;
  for (const auto& one : database->long_transactions) {
    result = worse(result, one.age_ms >= blocks_ms ? fail : warn);
    if (found.size() == most_named) continue;
    found.push_back(one.pid == 0 ? fmt::format("prepared transaction {} of {} since {}", one.application, one.user,
                                               duration_text(one.age_ms))
                                 : fmt::format("pid {} ({}, user {}, {}) since {}", one.pid,
                                               one.application.empty() ? "no application name" : one.application,
                                               one.user, one.state, duration_text(one.age_ms)));
  }
  if (database->long_transactions.size() > most_named)
    found.push_back(fmt::format("and {} more", database->long_transactions.size() - most_named));
  if (database->hidden_sessions > 0) {
    result = worse(result, unknown);
    found.push_back(fmt::format("{} session(s) of other users can't be seen (grant pg_read_all_stats to {})",
                                database->hidden_sessions, database->user));
  }
  return answered(std::move(check), {result, found.empty() ? "none of 10 s or more" : join(found, ", ")});
}

Check database_connections(const Observation& seen) {
  Check check{.id = "database_connections",
              .title = "The database has connections left",
              .why = "Every node has some, and a node that starts needs its own before it serves.",
              .action = "Raise max_connections in PostgreSQL, or lower write_connections in the site's config."};
  const auto* database = database_facts(seen);
  if (!database) return answered(std::move(check), {unknown, database_silent_because(seen)});
  if (database->connections_limit <= 0)
    return answered(std::move(check), {unknown, "PostgreSQL does not tell its limit"});
  const auto percent = database->connections * 100 / database->connections_limit;
  return answered(std::move(check),
                  {percent >= 95   ? fail
                   : percent >= 80 ? warn
                                   : pass,
                   fmt::format("{} of {} in use", database->connections, database->connections_limit)});
}

Check search_index(const Observation& seen) {
  Check check{.id = "search_index",
              .title = "The search index has every page",
              .why = "A page that is not in it is not found.",
              .action = "Save the pages again; while an upgrade is under way its tasks fill in the new form."};
  if (!seen.facts || !seen.facts->search_index)
    return answered(std::move(check), {unknown, !seen.facts ? "not asked" : seen.facts->search_index_problem});
  const auto& index = *seen.facts->search_index;
  std::vector<std::string> found;
  auto result = pass;
  if (index.missing > 0) {
    result = fail;
    found.push_back(fmt::format("{} of {} pages are not in it", index.missing, index.pages));
  }
  // Until it is finalized that is as it should be: older nodes write the old form.
  if (index.old_form > 0 && index.finalized) {
    result = worse(result, warn);
    found.push_back(fmt::format("{} of {} pages are there in the old form only", index.old_form, index.pages));
  }
  return answered(std::move(check), {result, found.empty() ? fmt::format("{} pages", index.pages) : join(found, ", ")});
}

Check long_tasks(const Observation& seen) {
  constexpr std::int64_t silent_ms = 5 * 60'000;
  Check check{.id = "long_tasks",
              .title = "No import or other long task is stuck",
              .why = "A node with a long task is not taken out for an upgrade.",
              .action = "See its node's log; restarting that node ends the task, and it can be started anew."};
  const auto* database = database_facts(seen);
  if (!database) return answered(std::move(check), {unknown, database_silent_because(seen)});
  if (!seen.cluster) return answered(std::move(check), {unknown, "the roster could not be read"});
  auto result = pass;
  std::vector<std::string> found;
  for (const auto& task : database->silent_tasks) {
    const auto* member = find_member(seen, task.node);
    const bool alive = member && cluster::effective_state(*member) != cluster::NodeState::OFFLINE;
    if (alive && task.silent_ms < silent_ms) continue;
    result = worse(result, alive ? warn : fail);
    found.push_back(fmt::format("\"{}\" on {} {}", task.title, task.node,
                                alive ? "has not moved for " + duration_text(task.silent_ms) : "has no node any more"));
  }
  return answered(std::move(check), {result, found.empty() ? "none" : join(found, ", ")});
}

Check certificates(const Observation& seen) {
  constexpr std::int64_t soon_ms = 14 * day_ms, at_once_ms = day_ms;
  Check check{.id = "certificates",
              .title = "No certificate ends soon",
              .why = "Balancer and conductor refuse a node whose certificate has ended.",
              .action = "Put a new certificate into its place; nodes take it up without a restart."};
  return of_each_node(std::move(check), seen, "none ends within two weeks, or nodes serve plain HTTP",
                      [&](const auto&, const NodeFacts& node) {
                        if (!node.tls) return Judgement{pass, {}};
                        if (!node.certificate_end_ms)
                          return Judgement{unknown, "its certificate's end could not be read"};
                        const auto left = *node.certificate_end_ms - seen.now_ms;
                        return Judgement{left < at_once_ms ? fail
                                         : left < soon_ms  ? warn
                                                           : pass,
                                         left < 0 ? fmt::format("ended {} ago", duration_text(-left))
                                                  : fmt::format("ends in {}", duration_text(left))};
                      });
}

Check base_url(const Observation& seen) {
  Check check{
      .id = "base_url",
      .title = "The site answers where users go",
      .why =
          "Links and cookies are made for base_url. X-Forwarded-For tells whoever stands behind the balancer who asks.",
      .action = "Correct `base_url` in the site's config, or set `option forwardfor` at the balancer."};
  if (!seen.facts || !seen.facts->base_url) return answered(std::move(check), {unknown, "not asked"});
  const auto& answer = *seen.facts->base_url;
  if (answer.url.empty()) return answered(std::move(check), {warn, "the site's config has no base_url"});
  // The name may mean something else to hosts than to users, so that silence proves nothing.
  if (!answer.problem.empty())
    return answered(std::move(check), {unknown, fmt::format("{}: {}", answer.url, answer.problem)});
  if (!answer.is_node)
    return answered(std::move(check), {fail, fmt::format("what answers at {} is no node of this site", answer.url)});
  if (!answer.forwarded)
    return answered(
        std::move(check),
        {unknown, fmt::format("{} answers; the node behind it is too old to tell how requests arrive", answer.url)});
  if (!*answer.forwarded)
    return answered(std::move(check),
                    {warn, fmt::format("{} answers; requests arrive without X-Forwarded-For", answer.url)});
  return answered(std::move(check), {pass, fmt::format("{} answers, with X-Forwarded-For", answer.url)});
}

Check node_findings(const Observation& seen) {
  Check check{
      .id = "node_findings",
      .title = "No node has run into trouble",
      .why = "Damaged files and refused connections are met by users first, and told by nobody.",
      .action = "Mend what the message names; restore a damaged attachment from a backup. A restart forgets the rest."};
  return of_each_node(std::move(check), seen, "none", [](const auto&, const NodeFacts& node) {
    if (node.findings.empty()) return Judgement{pass, {}};
    const auto& first = node.findings.front();
    const auto more = node.findings.size() > 1 ? fmt::format(", and {} more", node.findings.size() - 1) : "";
    return Judgement{fail, fmt::format("{} ({} times){}", first.message, first.count, more)};
  });
}

std::vector<Check> health(const Observation& seen) {
  return {
      members_well(seen), agents_well(seen), node_findings(seen), open_files(seen),        process_limit(seen),
      disk_space(seen),   shared_home(seen), clocks(seen),        long_transactions(seen), database_connections(seen),
      search_index(seen), long_tasks(seen),  certificates(seen),  base_url(seen)};
}

}  // namespace afloat::rollout
