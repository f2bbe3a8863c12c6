#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rollout/canary.h"

/// A node that has just been upgraded is tried before the balancer sends it anybody: what is plainly wrong with a
/// release shows here, and no user meets it. What shows only under load is the soak's to find.
namespace afloat::rollout {

/// The same reads on the new node and on another one, in turn.
struct TrialReads {
  std::vector<double> ms, other_ms;           ///< how long each took
  std::int64_t failed = 0, other_failed = 0;  ///< status 5xx, or no answer
  std::string example;                        ///< of one that failed on the new node: what was asked, and the answer
  KnownAnswers known;                         ///< of those, what pages said
  /// Writes that nobody sees, on the new node alone; none where it has nowhere to write to, or can't do such a write.
  std::int64_t writes = 0, writes_failed = 0;
  std::string write_example;
};

/// Collects the reads of one node and judges. Bad: two reads or more failed, and more than three times as many as on
/// the other node, or of the writes; in both halves, a p99 of more than twice theirs and 50 ms above it; at once: a wrong answer, memory
/// that runs away, or ten failed reads where the other node has none.
class Trial {
 public:
  static constexpr std::size_t wanted_reads = 300;
  /// In the time there is, so many are enough.
  static constexpr std::size_t enough_reads = 60;
  static constexpr std::int64_t limit_ms = 20'000;

  explicit Trial(std::int64_t begun_at_ms) : begun_at_ms_(begun_at_ms) {}
  void add(const TrialReads& reads);
  /// Resident memory of the new node's process, asked for before each turn of reads.
  void note_memory(std::int64_t bytes);
  /// What it was before the first.
  std::optional<std::int64_t> fresh_bytes() const { return fresh_bytes_; }
  /// Why there are no reads at the moment; "" when there are.
  void note_obstacle(std::string why) { obstacle_ = std::move(why); }
  CanaryView view(std::int64_t now_ms) const;

 private:
  std::string slowness() const;

  std::int64_t begun_at_ms_;
  TrialReads sum_;
  std::string obstacle_;
  std::optional<std::int64_t> fresh_bytes_, bytes_;
};

}  // namespace afloat::rollout
