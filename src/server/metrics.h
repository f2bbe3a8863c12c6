#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "rollout/canary.h"
#include "server/findings.h"

namespace afloat::server {

/// Counters of one node, shared by its contexts; relaxed atomics. `text` is the Prometheus form.
class Metrics {
 public:
  /// Whom a request is for: what asks how the node is comes many times a second on a site that nobody uses.
  enum class From { clients, probes };
  void count(From from, int status, std::int64_t microseconds) {
    auto& tally = from == From::clients ? clients_ : probes_;
    const auto family = static_cast<std::size_t>(status / 100 < 6 ? status / 100 : 5);
    tally.responses[family].fetch_add(1, std::memory_order_relaxed);
    tally.micros.fetch_add(microseconds, std::memory_order_relaxed);
    for (std::size_t i = 0; i < limits.size(); ++i)
      if (microseconds <= limits[i]) tally.buckets[i].fetch_add(1, std::memory_order_relaxed);
  }
  void count_unknown() { unknown_.fetch_add(1, std::memory_order_relaxed); }
  void count_busy(std::int64_t microseconds) { busy_micros_.fetch_add(microseconds, std::memory_order_relaxed); }
  std::int64_t busy_micros() const { return busy_micros_.load(std::memory_order_relaxed); }
  /// Of clients alone, since the process began; the caller says at which time.
  rollout::NodeSample of_clients(std::int64_t at_ms) const;
  std::atomic<std::int64_t> cache_hits{0}, cache_misses{0};
  std::atomic<std::int64_t> status_asked_ms{0};  ///< Unix time of the last GET /status; 0: never
  Findings findings;
  std::string text(std::string_view node, std::string_view version, int in_flight, int streams, int connections,
                   int tasks_running, int active_users) const;

 private:
  static constexpr std::array<std::int64_t, 10> limits{1'000,  2'500,   5'000,   10'000,    25'000,
                                                       50'000, 100'000, 250'000, 1'000'000, 10'000'000};
  struct Tally {
    std::array<std::atomic<std::int64_t>, 6> responses{};
    std::array<std::atomic<std::int64_t>, 10> buckets{};
    std::atomic<std::int64_t> micros{0};
    std::int64_t requests() const;
  };
  Tally clients_, probes_;
  std::atomic<std::int64_t> unknown_{0}, busy_micros_{0};
};

}  // namespace afloat::server
