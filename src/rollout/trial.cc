#include "rollout/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace afloat::rollout {
namespace {

constexpr std::int64_t plain_failures = 10;
constexpr double failures_factor = 3;

double p99(std::span<const double> times) {
  if (times.empty()) return 0;
  std::vector<double> sorted(times.begin(), times.end());
  const auto at = static_cast<std::size_t>(std::ceil(0.99 * static_cast<double>(sorted.size()))) - 1;
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(at));
  return sorted[at];
}

}  // namespace

void Trial::add(const TrialReads& reads) {
  sum_.ms.insert(sum_.ms.end(), reads.ms.begin(), reads.ms.end());
  sum_.other_ms.insert(sum_.other_ms.end(), reads.other_ms.begin(), reads.other_ms.end());
  sum_.failed += reads.failed;
  sum_.other_failed += reads.other_failed;
  if (sum_.example.empty()) sum_.example = reads.example;
  sum_.known += reads.known;
  sum_.writes += reads.writes;
  sum_.writes_failed += reads.writes_failed;
  if (sum_.write_example.empty()) sum_.write_example = reads.write_example;
}

void Trial::note_memory(std::int64_t bytes) {
  if (!fresh_bytes_) fresh_bytes_ = bytes;
  bytes_ = bytes;
}

std::string Trial::slowness() const {
  double own = 0, others = 0;
  for (const bool second : {false, true}) {
    const auto half = [second](const std::vector<double>& times) {
      const auto middle = times.size() / 2;
      const std::span all(times);
      return second ? all.subspan(middle) : all.first(middle);
    };
    own = p99(half(sum_.ms));
    others = p99(half(sum_.other_ms));
    if (!much_slower(own, others)) return {};
  }
  return fmt::format("p99 is {:.0f} ms, {:.0f} ms on the others", own, others);
}

CanaryView Trial::view(std::int64_t now_ms) const {
  const auto reads = sum_.ms.size();
  if (sum_.known.wrong > 0)
    return {Verdict::bad, fmt::format("{} of {} known pages were answered wrongly: {}", sum_.known.wrong,
                                      sum_.known.asked, sum_.known.example)};
  if (auto why = runaway_memory(fresh_bytes_, bytes_); !why.empty())
    return {Verdict::bad, fmt::format("{} in {} reads", why, reads)};
  // Where the database is at fault, reads of the other node fail too.
  const auto worse_than_there = [this](std::int64_t failed) {
    return failed >= 2 &&
           static_cast<double>(failed) > failures_factor * (static_cast<double>(sum_.other_failed) + 0.5);
  };
  const bool worse = worse_than_there(sum_.failed), writes_worse = worse_than_there(sum_.writes_failed);
  const bool over = now_ms - begun_at_ms_ >= limit_ms;
  const bool complete = reads >= wanted_reads || (over && reads >= enough_reads);
  if (worse && (complete || over || (sum_.failed >= plain_failures && sum_.other_failed == 0)))
    return {Verdict::bad, fmt::format("{} of {} reads failed, {} on the others: {}", sum_.failed, reads,
                                      sum_.other_failed, sum_.example)};
  if (writes_worse && (complete || over || sum_.writes_failed >= plain_failures))
    return {Verdict::bad,
            fmt::format("{} of {} writes failed: {}", sum_.writes_failed, sum_.writes, sum_.write_example)};
  if (complete) {
    if (auto slow = slowness(); !slow.empty()) return {Verdict::bad, std::move(slow)};
    return {Verdict::good,
            fmt::format("{} reads: {} failed, p99 {:.0f} ms ({:.0f} ms on the others); {} known answers right{}", reads,
                        sum_.failed, p99(sum_.ms), p99(sum_.other_ms), sum_.known.asked,
                        sum_.writes == 0 ? std::string()
                                         : fmt::format("; {} writes: {} failed", sum_.writes, sum_.writes_failed))};
  }
  const auto why = obstacle_.empty() ? std::string() : ": " + obstacle_;
  if (over)
    return {Verdict::inconclusive, fmt::format("only {} reads were made on it in {} s{}", reads, limit_ms / 1000, why)};
  return {Verdict::waiting, fmt::format("{} of {} reads{}", reads, wanted_reads, why)};
}

}  // namespace afloat::rollout
