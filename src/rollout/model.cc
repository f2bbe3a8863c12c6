#include "rollout/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace afloat::rollout {
namespace {

constexpr auto run_state_names = std::to_array<std::pair<RunState, std::string_view>>({
    {RunState::running, "running"},
    {RunState::paused, "paused"},
    {RunState::rolling_back, "rolling_back"},
    {RunState::done, "done"},
    {RunState::cancelled, "cancelled"},
    {RunState::failed, "failed"},
});

constexpr auto step_state_names = std::to_array<std::pair<StepState, std::string_view>>({
    {StepState::running, "running"},
    {StepState::paused, "paused"},
    {StepState::done, "done"},
    {StepState::refused, "refused"},
    {StepState::interrupted, "interrupted"},
});

struct KindName {
  StepKind kind;
  std::string_view name, title;
};
constexpr auto kind_names = std::to_array<KindName>({
    {StepKind::wait_until, "wait_until", "wait for the time that was set"},
    {StepKind::preflight, "preflight", "pre-upgrade checks"},
    {StepKind::distribute, "distribute", "distribute the release and verify it"},
    {StepKind::backup, "backup", "back up"},
    {StepKind::mode_on, "mode_on", "upgrade mode on"},
    {StepKind::expand, "expand", "expand the database"},
    {StepKind::add_surge, "add_surge", "add it as a surge node"},
    {StepKind::choose_node, "choose_node", "choose the next node"},
    {StepKind::ok_to_stop, "ok_to_stop", "ok to stop"},
    {StepKind::drain, "drain", "drain"},
    {StepKind::ok_to_stop_again, "ok_to_stop_again", "still ok to stop"},
    {StepKind::undrain, "undrain", "return to service"},
    {StepKind::maint, "maint", "take out of the balancer"},
    {StepKind::stop, "stop", "stop"},
    {StepKind::switch_release, "switch", "switch release"},
    {StepKind::start, "start", "start"},
    {StepKind::await_active, "await_active", "await ACTIVE"},
    {StepKind::trial, "trial", "try it before users"},
    {StepKind::balance, "balance", "await full weight"},
    {StepKind::soak, "soak", "compare with the other nodes"},
    {StepKind::remove_surge, "remove_surge", "take the surge node away"},
    {StepKind::hold_before_finalize, "hold_before_finalize", "hold before finalize"},
    {StepKind::finalize, "finalize", "finalize"},
    {StepKind::await_stable, "await_stable", "await STABLE"},
    {StepKind::mode_off, "mode_off", "upgrade mode off"},
    {StepKind::verify, "verify", "verify"},
    {StepKind::report, "report", "close the run"},
});

}  // namespace

std::string_view to_string(RunState state) {
  for (const auto& [value, name] : run_state_names)
    if (value == state) return name;
  return "failed";
}

RunState run_state_from(std::string_view text) {
  for (const auto& [value, name] : run_state_names)
    if (name == text) return value;
  return RunState::paused;  // a newer conductor's word: touch nothing
}

std::string_view to_string(StepState state) {
  for (const auto& [value, name] : step_state_names)
    if (value == state) return name;
  return "interrupted";
}

StepState step_state_from(std::string_view text) {
  for (const auto& [value, name] : step_state_names)
    if (name == text) return value;
  return StepState::interrupted;
}

std::string_view to_string(StepKind kind) {
  for (const auto& entry : kind_names)
    if (entry.kind == kind) return entry.name;
  return "report";
}

std::optional<StepKind> step_kind_from(std::string_view text) {
  for (const auto& entry : kind_names)
    if (entry.name == text) return entry.kind;
  return std::nullopt;
}

std::string title_of(StepKind kind, std::string_view node) {
  for (const auto& entry : kind_names)
    if (entry.kind == kind) return node.empty() ? std::string(entry.title) : fmt::format("{}: {}", node, entry.title);
  return std::string(node);
}

const cluster::Member* find_member(const Observation& observation, std::string_view node) {
  if (!observation.cluster) return nullptr;
  for (const auto& member : observation.cluster->members)
    if (member.name == node) return &member;
  return nullptr;
}

const NodeView* find_node(const Observation& observation, std::string_view node) {
  const auto found = observation.nodes.find(std::string(node));
  return found == observation.nodes.end() ? nullptr : &found->second;
}

}  // namespace afloat::rollout
