#include "wiki/align.h"

#include <algorithm>
#include <unordered_set>

namespace afloat::wiki {
namespace {

/// Furthest reaching end on each diagonal, step by step, then the way back. Nullopt when a bound is met.
std::optional<std::vector<Match>> shortest_script(std::span<const int> a, std::span<const int> b, int most_changes,
                                                  Effort& effort) {
  const int n = static_cast<int>(a.size()), m = static_cast<int>(b.size());
  const int limit = std::min(n + m, most_changes);
  std::vector<int> reach(static_cast<std::size_t>(2 * limit + 3), 0);
  const auto at = [&](int diagonal) -> int& { return reach[static_cast<std::size_t>(diagonal + limit + 1)]; };
  // Of each step the diagonals -d..d as they were before it.
  std::vector<std::vector<int>> steps;
  int found = -1;
  for (int d = 0; d <= limit && found < 0; ++d) {
    steps.emplace_back(reach.begin() + (limit + 1 - d), reach.begin() + (limit + 2 + d));
    for (int k = -d; k <= d; k += 2) {
      int x = k == -d || (k != d && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
      const int start = x;
      for (int y = x - k; x < n && y < m && a[static_cast<std::size_t>(x)] == b[static_cast<std::size_t>(y)]; ++y) ++x;
      if (!effort.spend(1 + x - start)) return std::nullopt;
      at(k) = x;
      if (x >= n && x - k >= m) {
        found = d;
        break;
      }
    }
  }
  if (found < 0) return std::nullopt;

  std::vector<Match> matches;
  int x = n, y = m;
  for (int d = found; d >= 0; --d) {
    const auto& before = steps[static_cast<std::size_t>(d)];
    const auto was = [&](int diagonal) { return before[static_cast<std::size_t>(diagonal + d)]; };
    const int k = x - y;
    int from = 0, from_x = 0;
    if (d > 0) {
      from = k == -d || (k != d && was(k - 1) < was(k + 1)) ? k + 1 : k - 1;
      from_x = was(from);
    }
    const int from_y = from_x - from;
    // The step itself is one symbol of one side; what lies beyond it are matches.
    const int begin = d == 0 ? 0 : from == k + 1 ? from_x : from_x + 1;
    for (; x > begin; --x, --y) matches.push_back({static_cast<std::size_t>(x - 1), static_cast<std::size_t>(y - 1)});
    x = from_x;
    y = from_y;
  }
  std::ranges::reverse(matches);
  return matches;
}

}  // namespace

Alignment align(std::span<const int> before, std::span<const int> after, int most_changes, Effort& effort) {
  Alignment out;
  const auto shorter = std::min(before.size(), after.size());
  std::size_t head = 0, tail = 0;
  while (head < shorter && before[head] == after[head]) ++head;
  while (tail < shorter - head && before[before.size() - 1 - tail] == after[after.size() - 1 - tail]) ++tail;
  for (std::size_t i = 0; i < head; ++i) out.matches.push_back({i, i});

  // A symbol that only one side has can match nothing; without those, a page of which much was rewritten is cheap.
  const auto middle = [&](std::span<const int> side) { return side.subspan(head, side.size() - head - tail); };
  const auto shared = [&](std::span<const int> side, std::span<const int> other, std::vector<std::size_t>& places) {
    const std::unordered_set<int> known(other.begin(), other.end());
    std::vector<int> symbols;
    for (std::size_t i = 0; i < side.size(); ++i)
      if (known.contains(side[i])) {
        symbols.push_back(side[i]);
        places.push_back(head + i);
      }
    return symbols;
  };
  std::vector<std::size_t> before_places, after_places;
  const auto a = shared(middle(before), middle(after), before_places);
  const auto b = shared(middle(after), middle(before), after_places);
  if (auto found = shortest_script(a, b, most_changes, effort)) {
    for (const auto& match : *found) out.matches.push_back({before_places[match.before], after_places[match.after]});
  } else {
    out.complete = false;
  }
  for (std::size_t i = tail; i > 0; --i) out.matches.push_back({before.size() - i, after.size() - i});
  return out;
}

}  // namespace afloat::wiki
