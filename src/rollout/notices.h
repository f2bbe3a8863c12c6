#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rollout/model.h"

namespace afloat::rollout {

/// What administrators are told of a run without asking.
enum class NoticeKind { scheduled, started, paused, held, failed, rolled_back, cancelled, finalized };
std::string_view to_string(NoticeKind kind);

/// When a run that begins at `not_before_ms` is announced next, after having been announced when it was made: a day and
/// an hour before. 0: not any more.
std::int64_t next_announcement(std::int64_t not_before_ms, std::int64_t now_ms);

/// What is worth telling of the change from one state of the journal to the next, with a sentence for each.
std::vector<std::pair<NoticeKind, std::string>> notices(const Run& before, const Run& after);

}  // namespace afloat::rollout
