#include "store/search_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "store/page_rows.h"
#include "store/search_terms.h"

namespace afloat::store {

namespace {

constexpr int excerpt_characters = 100'000;

/// Words without meaning of their own, as PostgreSQL's English dictionary has them.
bool is_stop_word(const std::string& word) {
  static const std::set<std::string_view> words = {
      "i",       "me",       "my",         "myself",  "we",     "our",    "ours",    "ourselves", "you",        "your",
      "yours",   "yourself", "yourselves", "he",      "him",    "his",    "himself", "she",       "her",        "hers",
      "herself", "it",       "its",        "itself",  "they",   "them",   "their",   "theirs",    "themselves", "what",
      "which",   "who",      "whom",       "this",    "that",   "these",  "those",   "am",        "is",         "are",
      "was",     "were",     "be",         "been",    "being",  "have",   "has",     "had",       "having",     "do",
      "does",    "did",      "doing",      "a",       "an",     "the",    "and",     "but",       "if",         "or",
      "because", "as",       "until",      "while",   "of",     "at",     "by",      "for",       "with",       "about",
      "against", "between",  "into",       "through", "during", "before", "after",   "above",     "below",      "to",
      "from",    "up",       "down",       "in",      "out",    "on",     "off",     "over",      "under",      "again",
      "further", "then",     "once",       "here",    "there",  "when",   "where",   "why",       "how",        "all",
      "any",     "both",     "each",       "few",     "more",   "most",   "other",   "some",      "such",       "no",
      "nor",     "not",      "only",       "own",     "same",   "so",     "than",    "too",       "very",       "s",
      "t",       "can",      "will",       "just",    "don",    "should", "now"};
  return words.contains(word);
}

/// index_words() leaves letters, digits and blanks, so nothing has to be escaped.
std::string phrase(std::string_view words) { return fmt::format("\"{}\"", words); }

bool has_stem(const SearchTerm& term) {
  return !term.quoted && !term.prefix && std::ranges::all_of(term.typed, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || c == '-' || c == '\'' || ((byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'z');
  });
}

class Builder {
 public:
  explicit Builder(const SearchQuery& query) : args_{query.start, query.limit} {}

  std::string argument(Value value) {
    args_.push_back(std::move(value));
    return fmt::format("${}", args_.size());
  }
  /// `columns`: "" for title and text, "title_words : " for the title.
  std::string matches(const TrialQuestion& question, std::string_view columns) {
    std::string all;
    for (const auto& term : question.terms) {
      auto one = in_index("page_words", fmt::format("{}{}", columns, term.exact));
      if (!term.stem.empty()) one += " or " + in_index("page_stems", fmt::format("{}({})", columns, term.stem));
      if (!all.empty()) all += term.alternative ? " or " : " and ";
      all += fmt::format("{}({})", term.excluded ? "not " : "", one);
    }
    return "(" + all + ")";
  }
  std::vector<Value> take() { return std::move(args_); }

 private:
  std::string in_index(std::string_view table, std::string match) {
    return fmt::format("p.id in (select x.rowid from {0} x where {0} match {1})", table, argument(std::move(match)));
  }
  std::vector<Value> args_;
};

/// Of everything that may be there, "" where all is excluded.
std::string rank_match(const TrialQuestion& question, std::string_view columns) {
  std::string any;
  for (const auto& term : question.terms)
    if (!term.excluded) any += fmt::format("{}{}", any.empty() ? "" : " OR ", term.exact);
  return any.empty() ? any : fmt::format("{}({})", columns, any);
}

}  // namespace

TrialQuestion trial_question(std::string_view typed) {
  TrialQuestion question;
  auto terms = search_terms(typed);
  for (std::size_t begin = 0, end = 0; begin < terms.size(); begin = end) {
    const auto idle = [&](std::size_t i) { return has_stem(terms[i]) && is_stop_word(to_lower(terms[i].words)); };
    bool other = false;
    for (end = begin; end < terms.size() && (end == begin || !terms[end].alternative); ++end)
      other = other || (!terms[end].excluded && !idle(end));
    bool first = begin > 0;
    for (auto i = begin; i < end; ++i) {
      const auto& term = terms[i];
      if (other && idle(i) && !term.excluded) continue;
      TrialTerm one;
      one.exact = phrase(term.words) + (term.prefix ? " *" : "");
      if (has_stem(term)) {
        // Words that a hyphen joins may stand apart as stems.
        for (const auto& word : split(term.words, ' ')) one.stem += (one.stem.empty() ? "" : " AND ") + phrase(word);
      }
      one.excluded = term.excluded;
      one.alternative = first;
      first = false;
      question.terms.push_back(std::move(one));
      if (!term.excluded) question.shown.push_back(term.typed);
    }
  }
  return question;
}

TrialSearch trial_search(const SearchQuery& query, const std::optional<TrialQuestion>& text,
                         const std::optional<TrialQuestion>& title, bool with_excerpt) {
  Builder build(query);
  constexpr std::string_view in_title = "title_words : ";
  std::string conditions = "p.status = 'current'";
  const auto add = [&](std::string condition) { conditions += " and " + std::move(condition); };
  if (query.space_key)
    add(fmt::format("p.space_id = (select k.id from space k where lower(k.key) = lower({}))",
                    build.argument(*query.space_key)));
  if (query.title) add(fmt::format("lower(p.title) = lower({})", build.argument(*query.title)));
  if (query.label)
    add(fmt::format("exists (select 1 from label l where l.page_id = p.id and l.name = {})",
                    build.argument(*query.label)));
  if (query.id) add(fmt::format("p.id = {}::bigint", build.argument(*query.id)));
  if (query.ancestor)
    add(
        fmt::format("p.id in (with recursive below as ("
                    "   select c.id, 1 as depth from page c where c.parent_id = {}::bigint"
                    "   union all"
                    "   select c.id, below.depth + 1 from below join page c on c.parent_id = below.id"
                    "    where below.depth < 100) select below.id from below)",
                    build.argument(*query.ancestor)));
  if (text) add(build.matches(*text, ""));
  if (title) add(build.matches(*title, in_title));

  std::string order = "p.updated_at desc, p.id desc", ranked, rank_table;
  if (query.order == "created") order = "p.created_at desc, p.id desc";
  if (query.order == "title") order = "lower(p.title), p.id";
  if (query.order == "relevance" && (text || title)) {
    const auto match = text ? rank_match(*text, "") : rank_match(*title, in_title);
    if (!match.empty()) {
      // Titles weigh most. Materialized: bm25() works in the query of its own table only.
      ranked = fmt::format(
          "r as materialized (select x.rowid as id, bm25(page_stems, 8.0, 1.0) as score"
          " from page_stems x where page_stems match {}), ",
          build.argument(match));
      rank_table = " left join r on r.id = p.id";
      order = "r.score is null, r.score, " + order;
    }
    if (text) order = build.matches(*text, in_title) + " desc, " + order;
  }
  TrialSearch search;
  search.sql = fmt::format(
      "with {}hit as (select p.id, count(*) over () as total, row_number() over (order by {}) as place from page p{}"
      " where {}) select {}, hit.total, {} from {} join hit on hit.id = p.id"
      " left join page_search f on f.page_id = p.id where hit.place > $1::bigint and hit.place <= $1::bigint + "
      "$2::bigint"
      " order by hit.place",
      ranked, order, rank_table, conditions, page_columns,
      with_excerpt ? fmt::format("substr(f.plain, 1, {})", excerpt_characters) : "null", page_tables);
  search.args = build.take();
  return search;
}

}  // namespace afloat::store
