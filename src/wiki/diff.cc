#include "wiki/diff.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <unordered_map>

#include "wiki/align.h"

namespace afloat::wiki {
namespace {

constexpr int most_changed_blocks = 1000;  ///< among those that both sides have
constexpr int most_changed_words = 400;    ///< in one block, likewise
constexpr double alike = 0.3;              ///< below it two blocks share words by chance
constexpr std::size_t most_pairs = 10'000;

/// A number for each different text, the same on both sides.
class Symbols {
 public:
  int of(std::string text) {
    return known_.try_emplace(std::move(text), static_cast<int>(known_.size())).first->second;
  }

 private:
  std::unordered_map<std::string, int> known_;
};

struct Token {
  std::string_view text;
  bool word = false;
};

/// Words, runs of blanks, and every other sign for itself. Scripts without blanks between words (U+3000 to U+9FFF)
/// count by character.
std::vector<Token> tokens_of(std::string_view text) {
  const auto letter = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80 || c == '_';
  };
  const auto stands_alone = [](char c) {
    return static_cast<unsigned char>(c) >= 0xE3 && static_cast<unsigned char>(c) <= 0xE9;
  };
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    const bool word = letter(text[at]);
    if (word && stands_alone(text[at])) {
      end = std::min(at + 3, text.size());
    } else if (word) {
      while (end < text.size() && letter(text[end]) && !stands_alone(text[end])) ++end;
    } else if (text[at] == ' ') {
      while (end < text.size() && text[end] == ' ') ++end;
    }
    tokens.push_back({text.substr(at, end - at), word});
    at = end;
  }
  return tokens;
}
int count_words(const std::vector<Token>& tokens) {
  return static_cast<int>(std::ranges::count_if(tokens, &Token::word));
}

/// One side of the comparison.
struct Side {
  std::vector<TextBlock> blocks;
  std::vector<int> symbols;
  explicit Side(std::string_view body, Symbols& known) : blocks(text_blocks(body)) {
    for (const auto& block : blocks)
      symbols.push_back(
          known.of(fmt::format("{} {} {} {}", static_cast<int>(block.kind), block.level, block.form, block.text)));
  }
};

class Comparison {
 public:
  Comparison(std::string_view old_body, std::string_view new_body)
      : before_(old_body, blocks_), after_(new_body, blocks_) {}

  Diff run() && {
    auto aligned = align(before_.symbols, after_.symbols, most_changed_blocks, effort_);
    diff_.whole = !aligned.complete;
    aligned.matches.push_back({before_.blocks.size(), after_.blocks.size()});
    std::size_t i = 0, j = 0;
    for (const auto& match : aligned.matches) {
      gap(i, match.before, j, match.after);
      if (match.before < before_.blocks.size()) same(match.after);
      i = match.before + 1;
      j = match.after + 1;
    }
    return std::move(diff_);
  }

 private:
  /// The words of a block as sorted symbols, to tell how much two blocks have in common.
  using Bag = std::vector<int>;

  void same(std::size_t j) {
    const auto& block = after_.blocks[j];
    diff_.rows.push_back(
        {Change::same, block.kind, block.level, {{Mark::same, block.text}}, {{Mark::same, block.text}}});
  }
  void removed(std::size_t i) {
    const auto& block = before_.blocks[i];
    count(block, diff_.size.removed_words);
    diff_.rows.push_back({Change::removed, block.kind, block.level, {{Mark::removed, block.text}}, {}});
  }
  void added(std::size_t j) {
    const auto& block = after_.blocks[j];
    count(block, diff_.size.added_words);
    diff_.rows.push_back({Change::added, block.kind, block.level, {}, {{Mark::added, block.text}}});
  }
  static void count(const TextBlock& block, int& words) {
    if (block.kind != BlockKind::macro) words += count_words(tokens_of(block.text));
  }

  /// Blocks i..i_end were replaced by j..j_end: pairs that are alike are shown beside each other.
  void gap(std::size_t i, std::size_t i_end, std::size_t j, std::size_t j_end) {
    for (const auto& pair : pairs(i, i_end, j, j_end)) {
      while (i < pair.before) removed(i++);
      while (j < pair.after) added(j++);
      changed(i++, j++);
    }
    while (i < i_end) removed(i++);
    while (j < j_end) added(j++);
  }

  std::vector<Match> pairs(std::size_t i, std::size_t i_end, std::size_t j, std::size_t j_end) {
    const std::size_t n = i_end - i, m = j_end - j;
    if (n == 0 || m == 0) return {};
    std::vector<Bag> old_bags, new_bags;
    std::int64_t old_words = 0, new_words = 0;
    for (std::size_t k = 0; k < n; ++k) old_words += std::ssize(old_bags.emplace_back(bag(before_.blocks[i + k])));
    for (std::size_t k = 0; k < m; ++k) new_words += std::ssize(new_bags.emplace_back(bag(after_.blocks[j + k])));
    const auto likeness = [&](std::size_t a, std::size_t b) {
      return before_.blocks[i + a].kind == after_.blocks[j + b].kind ? common(old_bags[a], new_bags[b]) : 0.0;
    };
    std::vector<Match> out;
    const auto cost = static_cast<std::int64_t>(m) * old_words + static_cast<std::int64_t>(n) * new_words;
    if (n * m > most_pairs || cost > effort_.left / 4) {
      for (std::size_t k = 0; k < std::min(n, m); ++k)
        if (likeness(k, k) >= alike) out.push_back({i + k, j + k});
      return out;
    }
    effort_.spend(cost);
    // best[a][b]: the most likeness that the blocks from a and b on can have in pairs that don't cross.
    std::vector<double> best((n + 1) * (m + 1), 0.0), like(n * m, 0.0);
    const auto place = [m](std::size_t a, std::size_t b) { return a * (m + 1) + b; };
    for (std::size_t a = n; a-- > 0;)
      for (std::size_t b = m; b-- > 0;) {
        const double here = like[a * m + b] = likeness(a, b);
        best[place(a, b)] = std::max(
            {best[place(a + 1, b)], best[place(a, b + 1)], here >= alike ? here + best[place(a + 1, b + 1)] : 0.0});
      }
    for (std::size_t a = 0, b = 0; a < n && b < m;) {
      if (like[a * m + b] >= alike && best[place(a, b)] == like[a * m + b] + best[place(a + 1, b + 1)]) {
        out.push_back({i + a++, j + b++});
      } else if (best[place(a, b)] == best[place(a + 1, b)]) {
        ++a;
      } else {
        ++b;
      }
    }
    return out;
  }

  Bag bag(const TextBlock& block) {
    const auto tokens = tokens_of(block.text);
    const bool any = count_words(tokens) > 0;  // a line of signs, "---", is compared by its signs
    Bag out;
    for (const auto& token : tokens)
      if (token.word || (!any && token.text[0] != ' ')) out.push_back(words_.of(std::string(token.text)));
    std::ranges::sort(out);
    return out;
  }
  static double common(const Bag& a, const Bag& b) {
    if (a.empty() && b.empty()) return 1;
    std::size_t both = 0;
    for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
      both += a[i] == b[j];
      const bool step_a = a[i] <= b[j], step_b = b[j] <= a[i];
      i += step_a;
      j += step_b;
    }
    return 2.0 * static_cast<double>(both) / static_cast<double>(a.size() + b.size());
  }

  void changed(std::size_t i, std::size_t j) {
    const auto& old_block = before_.blocks[i];
    const auto& new_block = after_.blocks[j];
    DiffRow row{Change::changed, new_block.kind, new_block.level, {}, {}};
    if (old_block.text == new_block.text) {
      row.change = Change::formatted;
      row.before = row.after = {{Mark::same, new_block.text}};
      diff_.rows.push_back(std::move(row));
      return;
    }
    const auto a = tokens_of(old_block.text), b = tokens_of(new_block.text);
    const auto symbols = [this](const std::vector<Token>& tokens) {
      std::vector<int> out;
      for (const auto& token : tokens) out.push_back(words_.of(std::string(token.text)));
      return out;
    };
    const auto before = symbols(a), after = symbols(b);
    auto aligned = align(before, after, most_changed_words, effort_);
    diff_.whole = diff_.whole || !aligned.complete;
    drop_crumbs(aligned.matches, a, b.size());
    aligned.matches.push_back({a.size(), b.size()});
    const bool counts = new_block.kind != BlockKind::macro;
    std::size_t x = 0, y = 0;
    for (const auto& match : aligned.matches) {
      for (; x < match.before; ++x) put(row.before, Mark::removed, a[x], counts ? &diff_.size.removed_words : nullptr);
      for (; y < match.after; ++y) put(row.after, Mark::added, b[y], counts ? &diff_.size.added_words : nullptr);
      if (x < a.size() && y < b.size()) {
        put(row.before, Mark::same, a[x++], nullptr);
        put(row.after, Mark::same, b[y++], nullptr);
      }
    }
    diff_.rows.push_back(std::move(row));
  }

  static void put(std::vector<Piece>& pieces, Mark mark, const Token& token, int* words) {
    if (pieces.empty() || pieces.back().mark != mark) pieces.push_back({mark, {}});
    pieces.back().text += token.text;
    if (words && token.word) ++*words;
  }

  /// Blanks and commas that happen to be the same between two changes would cut one change into many.
  static void drop_crumbs(std::vector<Match>& matches, const std::vector<Token>& before, std::size_t after_size) {
    std::vector<Match> kept;
    for (std::size_t at = 0; at < matches.size();) {
      std::size_t end = at + 1;
      while (end < matches.size() && matches[end].before == matches[end - 1].before + 1 &&
             matches[end].after == matches[end - 1].after + 1)
        ++end;
      bool keep = matches[at] == Match{0, 0} || matches[end - 1] == Match{before.size() - 1, after_size - 1};
      for (std::size_t k = at; k < end && !keep; ++k) keep = before[matches[k].before].word;
      if (keep)
        kept.insert(kept.end(), matches.begin() + static_cast<std::ptrdiff_t>(at),
                    matches.begin() + static_cast<std::ptrdiff_t>(end));
      at = end;
    }
    matches = std::move(kept);
  }

  Symbols blocks_, words_;
  Side before_, after_;
  Effort effort_;
  Diff diff_;
};

}  // namespace

Diff diff_bodies(std::string_view old_body, std::string_view new_body) { return Comparison(old_body, new_body).run(); }

ChangeSize change_size(std::string_view old_body, std::string_view new_body) {
  if (old_body == new_body) return {};
  return diff_bodies(old_body, new_body).size;
}

}  // namespace afloat::wiki
