#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ports/time.h"

namespace afloat::http {

/// How slow the transfer of a body may be. One that gets ahead may take as long as it needs.
struct BodyPace {
  /// Without a byte for this long, a transfer is over; the rate is measured over the same time.
  std::chrono::milliseconds patience{30'000};
  /// Below it, a peer holds a connection rather than uses it: a byte now and then must not keep one for ever.
  std::int64_t min_bytes_per_second = 1024;
};

/// Judges one transfer by what has moved. Time is handed in; whoever owns it looks at it now and then.
/// Thread-safety: none.
class TransferProgress {
 public:
  TransferProgress(BodyPace pace, SteadyTime now) : pace_(pace), moved_at_(now), window_began_(now) {}

  /// `moved_bytes`: all that has moved so far. Why the transfer is too slow, for people; nullopt while it is not.
  std::optional<std::string> judge(std::int64_t moved_bytes, SteadyTime now);
  /// When to look again: often enough that a stop is noticed soon after `patience` is over.
  SteadyTime next_look(SteadyTime now) const { return now + std::max(pace_.patience / 4, std::chrono::milliseconds(1)); }

 private:
  BodyPace pace_;
  SteadyTime moved_at_, window_began_;
  std::int64_t moved_ = 0, moved_before_window_ = 0;
};

}  // namespace afloat::http
