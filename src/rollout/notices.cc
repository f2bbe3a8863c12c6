#include "rollout/notices.h"

#include <fmt/format.h>

#include <algorithm>

namespace afloat::rollout {
namespace {

/// It is done now and was not before.
bool ends(const Run& before, const Run& after, StepKind kind, StepState state = StepState::done) {
  const auto count = [&](const Run& run) {
    return std::ranges::count_if(run.steps, [&](const auto& step) { return step.kind == kind && step.state == state; });
  };
  return count(after) > count(before);
}
bool begins(const Run& before, const Run& after, StepKind kind) {
  const auto count = [&](const Run& run) {
    return std::ranges::count_if(run.steps, [&](const auto& step) { return step.kind == kind; });
  };
  return count(after) > count(before);
}

}  // namespace

std::string_view to_string(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::scheduled:
      return "scheduled";
    case NoticeKind::started:
      return "started";
    case NoticeKind::paused:
      return "paused";
    case NoticeKind::held:
      return "held";
    case NoticeKind::failed:
      return "failed";
    case NoticeKind::rolled_back:
      return "rolled back";
    case NoticeKind::cancelled:
      return "cancelled";
    case NoticeKind::finalized:
      break;
  }
  return "finalized";
}

std::int64_t next_announcement(std::int64_t not_before_ms, std::int64_t now_ms) {
  constexpr std::int64_t hour = 3'600'000, day = 24 * hour;
  for (const auto before : {day, hour})
    if (now_ms < not_before_ms - before) return not_before_ms - before;
  return 0;
}

std::vector<std::pair<NoticeKind, std::string>> notices(const Run& before, const Run& after) {
  std::vector<std::pair<NoticeKind, std::string>> out;
  const auto say = [&](NoticeKind kind, std::string text) { out.emplace_back(kind, std::move(text)); };
  const auto why = after.reason.empty() ? std::string() : fmt::format(" ({})", after.reason);
  if (begins(before, after, StepKind::wait_until))
    say(NoticeKind::scheduled,
        fmt::format("The upgrade from {} to {} is scheduled{}. Postpone what changes configuration or apps until it "
                    "has ended; `afloat upgrade cancel` takes it back.",
                    after.from, after.to, why));
  if (ends(before, after, StepKind::mode_on) && after.hop() == 0)
    say(NoticeKind::started, fmt::format("The upgrade from {} to {} has begun{}.", after.from, after.to, why));
  if (ends(before, after, StepKind::trial, StepState::refused) ||
      ends(before, after, StepKind::soak, StepState::refused))
    say(NoticeKind::rolled_back,
        fmt::format("{} goes back to {}: {}.", after.steps.back().node, after.hop_from().version, [&] {
          for (auto step = after.steps.rbegin(); step != after.steps.rend(); ++step)
            if (step->kind == StepKind::trial || step->kind == StepKind::soak) return step->detail;
          return std::string("it is worse than the other nodes");
        }()));
  if (ends(before, after, StepKind::await_stable))
    say(NoticeKind::finalized, fmt::format("The site is finalized at {}; there is no way back to {} any more.",
                                           after.hop_to().version, after.hop_from().version));
  if (after.state == before.state) return out;
  const auto* open = after.open_step();
  if (after.state == RunState::paused)
    say(open && open->kind == StepKind::hold_before_finalize ? NoticeKind::held : NoticeKind::paused, after.message);
  if (after.state == RunState::rolling_back && before.state != RunState::paused)
    say(NoticeKind::rolled_back,
        fmt::format("The run turns back: every node goes back to {}.", after.hop_from().version));
  if (after.state == RunState::failed) say(NoticeKind::failed, after.message);
  if (after.state == RunState::cancelled) say(NoticeKind::cancelled, after.message);
  return out;
}

}  // namespace afloat::rollout
