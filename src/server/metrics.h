#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "server/findings.h"

namespace afloat::server {

/// Counters of one node, shared by its contexts; relaxed atomics. `text` is the Prometheus form.
class Metrics {
 public:
  void count(int status, std::int64_t microseconds) {
    const auto family = static_cast<std::size_t>(status / 100 < 6 ? status / 100 : 5);
    responses_[family].fetch_add(1, std::memory_order_relaxed);
    micros_.fetch_add(microseconds, std::memory_order_relaxed);
    for (std::size_t i = 0; i < limits.size(); ++i)
      if (microseconds <= limits[i]) buckets_[i].fetch_add(1, std::memory_order_relaxed);
  }
  void count_unknown() { unknown_.fetch_add(1, std::memory_order_relaxed); }
  void count_busy(std::int64_t microseconds) { busy_micros_.fetch_add(microseconds, std::memory_order_relaxed); }
  std::int64_t busy_micros() const { return busy_micros_.load(std::memory_order_relaxed); }
  std::int64_t requests() const {
    std::int64_t sum = 0;
    for (const auto& family : responses_) sum += family.load(std::memory_order_relaxed);
    return sum;
  }
  std::atomic<std::int64_t> cache_hits{0}, cache_misses{0};
  std::atomic<std::int64_t> status_asked_ms{0};  ///< Unix time of the last GET /status; 0: never
  Findings findings;
  std::string text(std::string_view node, std::string_view version, int in_flight, int streams, int connections,
                   int tasks_running, int active_users) const;

 private:
  static constexpr std::array<std::int64_t, 10> limits{1'000,  2'500,   5'000,   10'000,    25'000,
                                                       50'000, 100'000, 250'000, 1'000'000, 10'000'000};
  std::array<std::atomic<std::int64_t>, 6> responses_{};
  std::array<std::atomic<std::int64_t>, 10> buckets_{};
  std::atomic<std::int64_t> micros_{0}, unknown_{0}, busy_micros_{0};
};

}  // namespace afloat::server
