#include "rollout/run_json.h"

#include <boost/json.hpp>
#include <map>

#include "rollout/offline.h"

namespace afloat::rollout {
namespace json = boost::json;
namespace {

json::value parsed_or(const std::string& text, json::value fallback) {
  if (text.empty()) return fallback;
  boost::system::error_code fault;
  auto value = json::parse(text, fault);
  return fault ? fallback : value;
}

double seconds_of(const StepRecord& step) {
  return step.ended_at_ms > 0 ? static_cast<double>(step.ended_at_ms - step.started_at_ms) / 1000.0 : 0.0;
}

}  // namespace

json::object step_json(const StepRecord& step) {
  return {{"seq", step.seq},
          {"name", std::string(to_string(step.kind))},
          {"title", title_of(step.kind, step.node)},
          {"node", step.node},
          {"hop", step.hop + 1},
          {"back", step.back},
          {"started_at_ms", step.started_at_ms},
          {"ended_at_ms", step.ended_at_ms},
          {"seconds", seconds_of(step)},
          {"state", std::string(to_string(step.state))},
          {"attempt", step.attempt},
          {"detail", step.detail}};
}

json::object run_json(const Run& run) {
  struct Figures {
    std::int64_t start_to_active_ms = 0, drain_ms = 0;
  };
  std::vector<std::string> order;
  std::map<std::string, Figures> figures;
  json::array steps;
  for (const auto& step : run.steps) {
    steps.push_back(step_json(step));
    if (step.node.empty()) continue;
    if (!figures.contains(step.node)) order.push_back(step.node);
    auto& figure = figures[step.node];
    if (step.state != StepState::done) continue;
    if (step.kind == StepKind::await_active) figure.start_to_active_ms = step.metric_ms;
    if (step.kind == StepKind::drain) figure.drain_ms = step.ended_at_ms - step.started_at_ms;
  }
  json::array nodes;
  for (const auto& name : order)
    nodes.push_back(json::object{{"name", name},
                                 {"start_to_active_ms", figures[name].start_to_active_ms},
                                 {"drain_ms", figures[name].drain_ms}});
  json::array hops;
  for (const auto& hop : run.hops) hops.push_back(json::string(hop.version));
  const auto* open = run.open_step();
  const bool held = open && open->kind == StepKind::hold_before_finalize && run.state == RunState::paused;
  return {{"id", run.id},
          {"from", run.from},
          {"to", run.to},
          {"state", std::string(to_string(run.state))},
          {"outcome", run.outcome},
          {"reason", run.reason},
          {"actor", run.actor},
          {"started_at_ms", run.started_at_ms},
          {"ended_at_ms", run.ended_at_ms},
          {"mode_on_at_ms", run.mode_on_at_ms},
          {"stable_at_ms", run.stable_at_ms},
          {"current", run.current},
          {"message", run.message},
          {"cancel_requested", run.cancel_requested},
          {"back", run.back},
          {"pause_requested", !run.requests.pause_by.empty()},
          {"rollback_requested", run.requests.rollback_node},
          {"hops", std::move(hops)},
          {"failures", run.memory.failures},
          {"downtime_ms", downtime_ms(run, run.ended_at_ms)},
          {"held_since_ms", held ? open->started_at_ms : 0},
          {"options", parsed_or(to_json(run.options), json::object())},
          {"nodes", std::move(nodes)},
          {"steps", std::move(steps)},
          {"checks", parsed_or(run.checks, json::array())},
          {"evidence", parsed_or(run.evidence, json::object())}};
}

}  // namespace afloat::rollout
