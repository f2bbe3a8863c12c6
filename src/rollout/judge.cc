#include "rollout/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace afloat::rollout {
namespace {

int badness(CheckResult result) {
  switch (result) {
    case CheckResult::pass:
      return 0;
    case CheckResult::unknown:
      return 1;
    case CheckResult::warn:
      return 2;
    case CheckResult::fail:
      break;
  }
  return 3;
}

}  // namespace

Check answered(Check check, Judgement verdict) {
  check.result = verdict.result;
  check.found = std::move(verdict.found);
  if (check.result == CheckResult::pass) check.action.clear();
  return check;
}

CheckResult worse(CheckResult one, CheckResult other) { return badness(one) >= badness(other) ? one : other; }

std::string silent_because(const Observation& seen, const cluster::Member& member) {
  if (!seen.facts) return "it was not asked";
  if (member.build < first_build_with_facts)
    return fmt::format("it runs {}, which does not tell; releases from 1.2.0 on do", member.version);
  if (!seen.facts->reports_problem.empty()) return seen.facts->reports_problem;
  const auto found = seen.facts->nodes.find(member.name);
  const bool active = cluster::effective_state(member) == cluster::NodeState::ACTIVE;
  const auto state = active ? "" : fmt::format("it is {} and ", cluster::shown_state(member));
  if (found == seen.facts->nodes.end()) return state + "has told nothing yet";
  const auto age = seen.now_ms - found->second.at_ms;
  return age > facts_live_ms ? fmt::format("{}last told {} ago", state, duration_text(age)) : "";
}

const NodeFacts* facts_of(const Observation& seen, const cluster::Member& member) {
  return silent_because(seen, member).empty() ? &seen.facts->nodes.at(member.name) : nullptr;
}

Check of_each_node(Check check, const Observation& seen, std::string all_well,
                   const std::function<Judgement(const std::string& node, const NodeFacts&)>& judge) {
  if (!seen.cluster || seen.cluster->members.empty())
    return answered(std::move(check), {CheckResult::unknown, "the roster could not be read"});
  auto result = CheckResult::pass;
  std::vector<std::pair<std::string, std::vector<std::string>>> found;  // what, and who; in the order of the roster
  for (const auto& member : seen.cluster->members) {
    const auto* facts = facts_of(seen, member);
    auto verdict = facts ? judge(member.name, *facts) : Judgement{CheckResult::unknown, silent_because(seen, member)};
    result = worse(result, verdict.result);
    if (verdict.result == CheckResult::pass) continue;
    auto same = std::ranges::find(found, verdict.found, &std::pair<std::string, std::vector<std::string>>::first);
    if (same == found.end()) same = found.insert(found.end(), {std::move(verdict.found), {}});
    same->second.push_back(member.name);
  }
  std::vector<std::string> parts;
  for (const auto& [what, who] : found) parts.push_back(fmt::format("{}: {}", join(who, ", "), what));
  return answered(std::move(check), {result, parts.empty() ? std::move(all_well) : join(parts, "; ")});
}

const ConductorFacts* conductor_facts(const Observation& seen) {
  if (!seen.facts || !seen.facts->conductor) return nullptr;
  const auto& facts = *seen.facts->conductor;
  return seen.now_ms - facts.at_ms > facts_live_ms ? nullptr : &facts;
}

const DatabaseFacts* database_facts(const Observation& seen) {
  return seen.facts && seen.facts->database ? &*seen.facts->database : nullptr;
}

std::string database_silent_because(const Observation& seen) {
  return !seen.facts                            ? "not asked"
         : seen.facts->database_problem.empty() ? "it was not asked"
                                                : seen.facts->database_problem;
}

}  // namespace afloat::rollout
