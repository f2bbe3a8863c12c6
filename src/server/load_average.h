#pragma once
#include <chrono>
#include <deque>

namespace afloat::server {

/// Busy share of event loops over the last minute, or since the first sample where that is less. Not thread-safe.
class LoadAverage {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds window{60};

  /// `busy`: processor time of `loops` event loops since they began; rises.
  void add(Time at, std::chrono::nanoseconds busy, std::size_t loops) {
    samples_.push_back({at, busy});
    loops_ = loops;
    // The oldest one that is kept is the last from before the window, so that all of the window is covered.
    while (samples_.size() > 2 && at - samples_[1].at >= window) samples_.pop_front();
  }
  /// 0 to 1; 0 before the second sample.
  double share() const {
    if (samples_.size() < 2 || loops_ == 0) return 0;
    const std::chrono::duration<double> busy = samples_.back().busy - samples_.front().busy;
    const std::chrono::duration<double> time = samples_.back().at - samples_.front().at;
    return time.count() > 0 ? busy / time / static_cast<double>(loops_) : 0;
  }

 private:
  struct Sample {
    Time at;
    std::chrono::nanoseconds busy;
  };
  std::deque<Sample> samples_;
  std::size_t loops_ = 0;
};

}  // namespace afloat::server
