#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// Is a node that has just been upgraded as good as the others? Three answers, of which "don't know" never counts
/// as good. The node is compared with the others in the same stretch of time, so that a slow database or a busy
/// hour, which all feel, is not held against it.
namespace afloat::rollout {

/// A node's counters since its start, as its /metrics give them at one moment.
struct NodeSample {
  std::int64_t at_ms = 0;  ///< when it was asked, by one clock for all nodes
  std::int64_t requests = 0;
  std::int64_t errors = 0;                        ///< responses with a status of 5xx
  std::map<double, std::int64_t> within_seconds;  ///< upper limit -> requests that took at most as long
  std::optional<std::int64_t> memory_bytes;       ///< resident; old releases don't tell
  std::optional<std::int64_t> descriptors, descriptor_limit;
};

/// Pages read on the new node and on another one.
struct KnownAnswers {
  std::int64_t asked = 0, wrong = 0;
  std::string example;  ///< of a wrong one: which page, and in what it differs
  KnownAnswers& operator+=(const KnownAnswers& more);
};

enum class Verdict { waiting, good, bad, inconclusive };
struct CanaryView {
  Verdict verdict = Verdict::waiting;
  std::string reason;  ///< with the figures
};

/// Worse by more than chance: more than twice as slow, and 50 ms on top.
bool much_slower(double p99_ms, double other_p99_ms);

/// That a process takes more than 200 MB more than when it was fresh, and more than twice as much; "" where it does
/// not, or does not say.
std::string runaway_memory(std::optional<std::int64_t> fresh_bytes, std::optional<std::int64_t> bytes);

/// Collects samples of one node's soak and judges. A window is closed once the new node has answered
/// `window_requests` in it. Bad: two windows in a row with more errors than the others have, or with a p99 of more
/// than twice theirs and 50 ms above it; at once: a wrong answer, a restart, memory or descriptors that run away, or
/// errors that are plain before their window is full (eight and more, seen three times, at five times the others'
/// rate).
class Canary {
 public:
  static constexpr std::int64_t window_requests = 300;

  /// `soak_ms`: how long the node is watched at least. `fresh_bytes`: memory of its process before it was tried;
  /// without it, that of the first sample counts.
  Canary(std::string node, std::int64_t begun_at_ms, std::int64_t soak_ms,
         std::optional<std::int64_t> fresh_bytes = std::nullopt);

  /// `samples` by node, the new one and others; nodes that did not answer are left out.
  void add(const std::map<std::string, NodeSample>& samples);
  void add(const KnownAnswers& answers);
  /// The incarnation of the new node's process.
  void seen_process(const std::string& incarnation);

  /// A node that was not heard of for so long can't be judged.
  static constexpr std::int64_t silence_ms = 10'000;
  /// Beyond the soak, a window that has begun badly is given this long to be judged.
  static constexpr std::int64_t extension_ms = 60'000;
  CanaryView view(std::int64_t now_ms) const;

 private:
  struct Window {
    std::int64_t requests = 0, errors = 0, other_requests = 0, other_errors = 0;
    double p99_ms = 0, other_p99_ms = 0;
    std::string bad;  ///< why; "" when it is as good as the others
  };
  void close_window(const std::map<std::string, NodeSample>& now);
  void look_into_window(const std::map<std::string, NodeSample>& now);
  std::string runaway() const;

  std::string node_;
  std::int64_t begun_at_ms_, soak_ms_, heard_at_ms_;
  std::optional<std::int64_t> fresh_bytes_;
  std::map<std::string, NodeSample> opened_;  ///< samples at the beginning of the open window
  std::optional<NodeSample> first_, last_;    ///< of the new node
  std::vector<Window> windows_;
  int looks_with_errors_ = 0;  ///< into the open window, each with more errors than the one before
  std::int64_t errors_seen_ = 0;
  std::string plain_errors_;
  KnownAnswers answers_;
  std::string incarnation_, restarted_;
};

/// The 99th percentile of what lies between two samples of one node, or of several added up; linear inside a bucket;
/// seconds. 0 where there is nothing.
double p99_between(const NodeSample& before, const NodeSample& after);

}  // namespace afloat::rollout
