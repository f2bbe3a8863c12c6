#pragma once
#include <cstdint>
#include <string>

#include "ports/task.h"
#include "ports/time.h"
#include "rollout/notices.h"

namespace afloat {

using rollout::NoticeKind;

struct Notice {
  NoticeKind kind = NoticeKind::started;
  std::int64_t run = 0;
  std::string from, to;
  std::string text;  ///< a sentence or two: what happened, what to do
};

/// Tells people. A thing that happens is told once, or not at all where the conductor dies right after it has
/// written its journal; that is in the journal then. An error is logged and never holds a run up. Implementation:
/// store/notices.h (the site's list of events); the conductor's log has all of it anyway.
struct Notifier {
  virtual ~Notifier() = default;
  virtual Task<void> notify(Notice notice, Deadline deadline) = 0;
};

}  // namespace afloat
