#include "rollout/canary.h"

#include <fmt/format.h>

#include <algorithm>

namespace afloat::rollout {
namespace {

constexpr double slower_factor = 2, slower_by_ms = 50;
/// With no errors on the others, one in 300 requests is more than chance; three times their rate is as well.
constexpr double errors_factor = 3;
/// Errors that show before the window is full, and not all at once as when the database is away for a moment.
constexpr std::int64_t plain_errors = 8, others_measure_from = 150;
constexpr int plain_looks = 3;
constexpr double plain_factor = 5;
/// A process fills caches when it starts; what comes on top of that is growth.
constexpr std::int64_t memory_growth_bytes = 200'000'000;
constexpr double descriptors_share = 0.7;

void accumulate(NodeSample& sum, const NodeSample& sample) {
  sum.requests += sample.requests;
  sum.errors += sample.errors;
  for (const auto& [limit, count] : sample.within_seconds) sum.within_seconds[limit] += count;
}

/// Others have their share of chance, too.
double other_rate(std::int64_t errors, std::int64_t requests) {
  return (static_cast<double>(errors) + 0.5) / static_cast<double>(requests + 1);
}

}  // namespace

KnownAnswers& KnownAnswers::operator+=(const KnownAnswers& more) {
  asked += more.asked;
  wrong += more.wrong;
  if (example.empty()) example = more.example;
  return *this;
}

bool much_slower(double p99_ms, double other_p99_ms) {
  return p99_ms > slower_factor * other_p99_ms && p99_ms > other_p99_ms + slower_by_ms;
}

double p99_between(const NodeSample& before, const NodeSample& after) {
  const auto total = after.requests - before.requests;
  if (total <= 0) return 0;
  const double wanted = 0.99 * static_cast<double>(total);
  double lower = 0, counted = 0;
  for (const auto& [limit, count] : after.within_seconds) {
    const auto found = before.within_seconds.find(limit);
    const double upto = static_cast<double>(count - (found == before.within_seconds.end() ? 0 : found->second));
    if (upto >= wanted) return lower + (limit - lower) * (upto > counted ? (wanted - counted) / (upto - counted) : 1);
    counted = upto;
    lower = limit;
  }
  return lower;
}

std::string runaway_memory(std::optional<std::int64_t> fresh_bytes, std::optional<std::int64_t> bytes) {
  if (!fresh_bytes || !bytes) return {};
  const auto grown = *bytes - *fresh_bytes;
  if (grown <= memory_growth_bytes || grown <= *fresh_bytes) return {};
  return fmt::format("its memory grew from {} to {} MB", *fresh_bytes / 1'000'000, *bytes / 1'000'000);
}

Canary::Canary(std::string node, std::int64_t begun_at_ms, std::int64_t soak_ms,
               std::optional<std::int64_t> fresh_bytes)
    : node_(std::move(node)),
      begun_at_ms_(begun_at_ms),
      soak_ms_(soak_ms),
      heard_at_ms_(begun_at_ms),
      fresh_bytes_(fresh_bytes) {}

void Canary::add(const std::map<std::string, NodeSample>& samples) {
  const auto found = samples.find(node_);
  if (found == samples.end() || samples.size() < 2) return;
  const auto& own = found->second;
  heard_at_ms_ = own.at_ms;
  // Counters that went down are those of another process: what was counted before says nothing any more.
  const auto fresh = [&](const std::string& name, const NodeSample& sample) {
    const auto known = opened_.find(name);
    return known == opened_.end() || sample.requests < known->second.requests;
  };
  if (!first_) first_ = own;
  last_ = own;
  bool begins = opened_.empty();
  for (const auto& [name, sample] : samples) begins = begins || fresh(name, sample);
  for (const auto& [name, sample] : opened_) begins = begins || !samples.contains(name);
  if (!begins && own.requests - opened_.at(node_).requests < window_requests) return look_into_window(samples);
  if (!begins) close_window(samples);
  opened_ = samples;
  looks_with_errors_ = 0;
  errors_seen_ = 0;
}

void Canary::look_into_window(const std::map<std::string, NodeSample>& now) {
  const auto& own_before = opened_.at(node_);
  const auto& own = now.at(node_);
  const auto errors = own.errors - own_before.errors, requests = own.requests - own_before.requests;
  if (errors > errors_seen_) ++looks_with_errors_;
  errors_seen_ = errors;
  NodeSample before, after;
  for (const auto& [name, sample] : now) {
    if (name == node_) continue;
    accumulate(before, opened_.at(name));
    accumulate(after, sample);
  }
  const auto others = after.requests - before.requests, other_errors = after.errors - before.errors;
  if (errors < plain_errors || looks_with_errors_ < plain_looks || others < others_measure_from) return;
  const double rate = static_cast<double>(errors) / static_cast<double>(std::max<std::int64_t>(requests, 1));
  if (rate > plain_factor * other_rate(other_errors, others))
    plain_errors_ =
        fmt::format("{} of {} requests failed, {} of {} on the other nodes", errors, requests, other_errors, others);
}

void Canary::close_window(const std::map<std::string, NodeSample>& now) {
  NodeSample before, after;
  for (const auto& [name, sample] : now) {
    if (name == node_) continue;
    accumulate(before, opened_.at(name));
    accumulate(after, sample);
  }
  const auto& own_before = opened_.at(node_);
  const auto& own = now.at(node_);
  Window window{.requests = own.requests - own_before.requests,
                .errors = own.errors - own_before.errors,
                .other_requests = after.requests - before.requests,
                .other_errors = after.errors - before.errors,
                .p99_ms = p99_between(own_before, own) * 1000,
                .other_p99_ms = p99_between(before, after) * 1000,
                .bad = {}};
  // Others that answered next to nothing are no measure.
  if (window.other_requests < window_requests / 3) return;
  const double rate = static_cast<double>(window.errors) / static_cast<double>(window.requests);
  if (window.errors > 0 && rate > errors_factor * other_rate(window.other_errors, window.other_requests))
    window.bad = fmt::format("{} of {} requests failed, {} of {} on the other nodes", window.errors, window.requests,
                             window.other_errors, window.other_requests);
  else if (much_slower(window.p99_ms, window.other_p99_ms))
    window.bad = fmt::format("p99 is {:.0f} ms, {:.0f} ms on the other nodes", window.p99_ms, window.other_p99_ms);
  windows_.push_back(std::move(window));
}

void Canary::add(const KnownAnswers& answers) { answers_ += answers; }

void Canary::seen_process(const std::string& incarnation) {
  if (incarnation.empty()) return;
  if (!incarnation_.empty() && incarnation != incarnation_) restarted_ = "its process ended and was started again";
  incarnation_ = incarnation;
}

std::string Canary::runaway() const {
  if (!first_ || !last_) return {};
  if (auto why = runaway_memory(fresh_bytes_ ? fresh_bytes_ : first_->memory_bytes, last_->memory_bytes); !why.empty())
    return why;
  if (last_->descriptors && last_->descriptor_limit && *last_->descriptor_limit > 0 &&
      static_cast<double>(*last_->descriptors) > descriptors_share * static_cast<double>(*last_->descriptor_limit))
    return fmt::format("{} of {} file handles are in use", *last_->descriptors, *last_->descriptor_limit);
  return {};
}

CanaryView Canary::view(std::int64_t now_ms) const {
  if (answers_.wrong > 0)
    return {Verdict::bad, fmt::format("{} of {} known pages were answered wrongly: {}", answers_.wrong, answers_.asked,
                                      answers_.example)};
  if (!restarted_.empty()) return {Verdict::bad, restarted_};
  if (!plain_errors_.empty()) return {Verdict::bad, plain_errors_};
  if (auto why = runaway(); !why.empty()) return {Verdict::bad, std::move(why)};
  const auto count = windows_.size();
  if (count >= 2 && !windows_[count - 1].bad.empty() && !windows_[count - 2].bad.empty())
    return {Verdict::bad, fmt::format("in two windows: {}; {}", windows_[count - 2].bad, windows_[count - 1].bad)};

  const auto soaked = now_ms - begun_at_ms_;
  if (now_ms - heard_at_ms_ > silence_ms)
    return {Verdict::inconclusive, fmt::format("its figures, or those of all other nodes, could not be read for {} s",
                                               (now_ms - heard_at_ms_) / 1000)};
  const bool last_bad = count > 0 && !windows_[count - 1].bad.empty();
  if (soaked >= soak_ms_ && count > 0 && !last_bad) {
    const auto& window = windows_.back();
    return {Verdict::good,
            fmt::format("{} window(s); last: {} requests, {} failed, p99 {:.0f} ms ({:.0f} ms on the "
                        "others); {} known answers right",
                        count, window.requests, window.errors, window.p99_ms, window.other_p99_ms, answers_.asked)};
  }
  if (soaked >= soak_ms_ + extension_ms)
    return {Verdict::inconclusive,
            last_bad
                ? "its last window was bad, and there were too few requests for a second one: " + windows_.back().bad
                : fmt::format("fewer than {} requests came to it, or fewer than {} to the others, in {} s",
                              window_requests, window_requests / 3, soaked / 1000)};
  const auto open = last_ && opened_.contains(node_) ? last_->requests - opened_.at(node_).requests : 0;
  const auto so_far = fmt::format("{} window(s) of {} requests{}, {} requests in the next", count, window_requests,
                                  last_bad ? ", the last one bad" : "", open);
  if (soaked < soak_ms_)
    return {Verdict::waiting, fmt::format("{} of {} s, {}", soaked / 1000, soak_ms_ / 1000, so_far)};
  return {Verdict::waiting, fmt::format("its {} s are over; it waits {} s more at the most for {}: {}", soak_ms_ / 1000,
                                        (soak_ms_ + extension_ms - soaked) / 1000,
                                        last_bad ? "another window" : "enough requests", so_far)};
}

}  // namespace afloat::rollout
