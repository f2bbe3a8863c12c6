#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Longest common subsequence by Myers' greedy algorithm (1986), with bounds.
namespace afloat::wiki {

/// What is left to spend, in comparisons; shared by all alignments of one diff.
struct Effort {
  std::int64_t left = 20'000'000;
  bool spend(std::int64_t count) { return (left -= count) >= 0; }
};
struct Match {
  std::size_t before, after;  ///< positions of equal symbols
  bool operator==(const Match&) const = default;
};
struct Alignment {
  std::vector<Match> matches;  ///< rising on both sides
  bool complete = true;        ///< false: a bound was met, and only the common beginning and end are matched
};
/// Memory: at most `most_changes` squared integers, whatever the input is.
Alignment align(std::span<const int> before, std::span<const int> after, int most_changes, Effort& effort);

}  // namespace afloat::wiki
