#include "store/search_terms.h"

#include <algorithm>

#include "base/text.h"
#include "store/page_index.h"
#include "store/page_rows.h"

namespace afloat::store {

namespace {

constexpr std::size_t most_terms = 50;
// Longer lexemes PostgreSQL refuses; none of an index is as long.
constexpr std::size_t longest_term = 1'000;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Up to the end of a term that begins at `at`, which is moved behind it.
SearchTerm take_term(std::string_view text, std::size_t& at) {
  SearchTerm term;
  if (text[at] == '-') {
    term.excluded = true;
    ++at;
  }
  term.quoted = at < text.size() && text[at] == '"';
  if (term.quoted) ++at;
  const auto begin = at;
  while (at < text.size() && text[at] != '"' && (term.quoted || !is_space(text[at]))) ++at;
  auto typed = text.substr(begin, at - begin);
  if (term.quoted && at < text.size()) ++at;  // its closing quote
  while (at < text.size() && text[at] == '*') {
    term.prefix = true;
    ++at;
  }
  while (typed.ends_with('*')) {
    term.prefix = true;
    typed.remove_suffix(1);
  }
  term.typed = cut_utf8(typed, longest_term);
  term.words = index_words(term.typed);
  return term;
}

/// Words that a hyphen or an apostrophe joins, as prose has them: unlike the parts of an identifier they may stand
/// apart, and have stems.
bool is_prose(std::string_view typed) {
  return std::ranges::all_of(typed, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || c == '-' || c == '\'' || ((byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'z');
  });
}

/// The stems of a term where they may stand for it: of "multi-nodes" 'multi' & 'node'.
std::string stem_of(const SearchTerm& term, const TermForms& forms) {
  if (term.quoted || term.prefix || !is_prose(term.typed)) return {};
  std::string all;
  for (const auto& part : split(forms.stem, ' ')) {
    if (!part.starts_with('\'')) continue;  // <->, or <2> where a stop word was
    if (!all.empty()) all += " & ";
    all += part;
  }
  return all;
}

std::string with_star(std::string query, const SearchTerm& term) {
  if (term.prefix && !query.empty()) query += ":*";
  return query;
}

/// Stop words beside something else to look for: "the" of "the vacuum" asks for nothing.
std::vector<bool> without_meaning(const std::vector<SearchTerm>& terms, const std::vector<TermForms>& forms) {
  const auto is_stop_word = [&](std::size_t i) {
    return !terms[i].quoted && !terms[i].prefix && is_prose(terms[i].typed) && forms[i].stem.empty();
  };
  std::vector<bool> out(terms.size());
  for (std::size_t begin = 0, end = 0; begin < terms.size(); begin = end) {
    bool other = false;
    for (end = begin; end < terms.size() && (end == begin || !terms[end].alternative); ++end)
      other = other || (!terms[end].excluded && !is_stop_word(end));
    for (std::size_t i = begin; i < end; ++i) out[i] = other && is_stop_word(i) && !terms[i].excluded;
  }
  return out;
}

/// Terms of an alternative joined with &, alternatives with |, which binds less. `text_of(i)` is "" for a term that
/// says nothing.
template <class TextOf>
std::string joined(const std::vector<SearchTerm>& terms, TextOf text_of) {
  std::string all;
  bool alternative = false;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    alternative = alternative || terms[i].alternative;
    const std::string text = text_of(i);
    if (text.empty()) continue;
    if (!all.empty()) all += alternative ? " | " : " & ";
    all += (terms[i].excluded ? "!(" : "(") + text + ")";
    alternative = false;
  }
  return all;
}

}  // namespace

std::vector<SearchTerm> search_terms(std::string_view typed) {
  const auto text = as_utf8(typed);
  std::vector<SearchTerm> terms;
  bool alternative = false;
  for (std::size_t at = 0; at < text.size() && terms.size() < most_terms;) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    auto term = take_term(text, at);
    if (!term.quoted && !term.prefix && !term.excluded && equals_ignoring_case(term.typed, "or") && !terms.empty()) {
      alternative = true;
    } else if (!term.words.empty()) {
      term.alternative = alternative;
      alternative = false;
      terms.push_back(std::move(term));
    }
  }
  return terms;
}

std::string words_query(const std::vector<SearchTerm>& terms, const std::vector<TermForms>& forms) {
  const auto left_out = without_meaning(terms, forms);
  return joined(terms, [&](std::size_t i) -> std::string {
    if (left_out[i] || forms[i].exact.empty()) return {};
    const auto exact = with_star(forms[i].exact, terms[i]), stem = stem_of(terms[i], forms[i]);
    return stem.empty() || stem == exact ? exact : exact + " | " + stem;
  });
}

std::vector<std::string> shown_words(const std::vector<SearchTerm>& terms, const std::vector<TermForms>& forms) {
  std::vector<std::string> words;
  const auto left_out = without_meaning(terms, forms);
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].excluded || left_out[i]) continue;
    words.push_back(terms[i].typed);
    for (const auto& stem : split(stem_of(terms[i], forms[i]), ' '))
      if (stem.size() > 2 && stem.starts_with('\'')) words.push_back(stem.substr(1, stem.size() - 2));
  }
  return words;
}

std::string excerpt_around(std::string_view plain_text, const std::vector<std::string>& words) {
  constexpr std::size_t before = 80, length = 250;
  const auto lower = to_lower(plain_text);
  const auto in_word = [&lower](std::size_t at) {
    const auto byte = static_cast<unsigned char>(lower[at]);
    return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z');
  };
  std::size_t found = std::string::npos;
  for (const auto& word : words) {
    const auto wanted = to_lower(word);
    if (wanted.empty()) continue;
    auto at = lower.find(wanted);
    while (at != std::string::npos && at > 0 && in_word(at - 1)) at = lower.find(wanted, at + 1);
    found = std::min(found, at);
  }
  std::size_t from = found == std::string::npos || found < before ? 0 : found - before;
  while (from > 0 && plain_text[from - 1] != ' ' && plain_text[from - 1] != '\n' && found - from < before + 20) --from;
  while (from > 0 && (static_cast<unsigned char>(plain_text[from]) & 0xC0) == 0x80) --from;
  auto excerpt = std::string(cut_utf8(plain_text.substr(from), length));
  const bool more = from + excerpt.size() < plain_text.size();
  std::ranges::replace(excerpt, '\n', ' ');
  return (from > 0 ? "... " : "") + std::string(trim(excerpt)) + (more ? " ..." : "");
}

}  // namespace afloat::store
