#include "store/page_index.h"

#include <fmt/format.h>

#include "store/page_rows.h"
#include "wiki/storage_xml.h"

namespace afloat::store {

namespace {

enum class Role { part, separator, nothing };
struct Letter {
  Role role = Role::part;
  std::size_t bytes = 1;
};

/// What stands at the head of `text`. PostgreSQL's parser would decide most of it alike, yet by the database's
/// locale, and it makes host names, paths and numbers of what people type as words.
Letter letter_at(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto first = byte(0), second = byte(1), third = byte(2);
  if (first < 0x80) {
    const bool part = (first >= '0' && first <= '9') || ((first | 0x20U) >= 'a' && (first | 0x20U) <= 'z');
    return {part ? Role::part : Role::separator, 1};
  }
  if (first == 0xC2) {  // U+0080 to U+00BF; letters among them are ª, µ and º, and a soft hyphen is no end of a word
    if (second == 0xAD) return {Role::nothing, 2};
    return {second == 0xAA || second == 0xB5 || second == 0xBA ? Role::part : Role::separator, 2};
  }
  if (first == 0xC3) return {second == 0x97 || second == 0xB7 ? Role::separator : Role::part, 2};  // × and ÷
  // General punctuation, U+2000 to U+206F, and that of CJK, U+3000 to U+303F, without 々, 〆 and 〇.
  if (first == 0xE2 && (second == 0x80 || (second == 0x81 && third <= 0xAF))) return {Role::separator, 3};
  if (first == 0xE3 && second == 0x80) return {third >= 0x85 && third <= 0x87 ? Role::part : Role::separator, 3};
  return {Role::part, first >= 0xF0 ? 4U : first >= 0xE0 ? 3U : first >= 0xC0 ? 2U : 1U};
}

}  // namespace

std::string index_words(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [role, length] = letter_at(text);
    const auto bytes = std::min(length, text.size());
    if (role == Role::part) out += text.substr(0, bytes);
    if (role == Role::separator && !out.empty() && out.back() != ' ') out += ' ';
    text.remove_prefix(bytes);
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

IndexedPage indexed_page(std::string_view title, std::string_view body, std::size_t limit) {
  IndexedPage page;
  page.plain = cut_utf8(wiki::plain_text(body), limit);
  page.words = index_words(page.plain);
  page.title_words = index_words(title);
  return page;
}

// Stems follow the words as they are at a distance, that of a stop word: the last word and the first stem are no phrase.
std::string title_vector(std::string_view argument) {
  return fmt::format(
      "setweight(to_tsvector('simple', {0}), 'A') || setweight(to_tsvector('english', 'the ' || {0}), 'C')", argument);
}

// The words as they are come first, for a tsvector counts positions up to 16,383 only, and phrases live by them. Stems
// keep theirs too: a phrase that ends with the beginning of a word fails at the first lexeme without positions.
std::string text_vector(std::string_view argument) {
  return fmt::format("setweight(to_tsvector('simple', {0}), 'B') || to_tsvector('english', 'the ' || {0})", argument);
}

std::string index_sql(std::string_view row, std::size_t first) {
  const auto plain = fmt::format("${}::text", first), words = fmt::format("${}::text", first + 1),
             title_words = fmt::format("${}::text", first + 2);
  return fmt::format(
      "insert into page_search (page_id, title_words, words, plain, version)"
      " select r.id, t.title_words, t.title_words || {}, {}, r.version from {} r, (select {} as title_words) t"
      " on conflict (page_id) do update set title_words = excluded.title_words, words = excluded.words,"
      " plain = excluded.plain, version = excluded.version",
      text_vector(words), plain, row, title_vector(title_words));
}

void index_args(std::vector<Value>& args, IndexedPage page) {
  args.emplace_back(std::move(page.plain));
  args.emplace_back(std::move(page.words));
  args.emplace_back(std::move(page.title_words));
}

}  // namespace afloat::store
