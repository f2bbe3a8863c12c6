#include "store/search_store.h"

#include <fmt/format.h>

#include <mutex>
#include <set>

#include "store/page_index.h"
#include "store/page_rows.h"
#include "store/search_terms.h"
#include "store/search_trial.h"

namespace afloat::store {

namespace {

/// The statement's text as a key that lives for ever. There are as many as combinations of conditions and
/// orders, a few hundred; arguments are never part of the text.
std::string_view intern(std::string sql) {
  static std::mutex mutex;
  static std::set<std::string> texts;
  const std::lock_guard lock(mutex);
  return *texts.insert(std::move(sql)).first;
}

// Of a title stem, of a text's stem, its word and a title's word, in the order {D, C, B, A} of ts_rank: titles weigh
// most, then words as they were typed, then stems.
constexpr std::string_view weights = "'{0.1, 0.8, 0.3, 1}'";
// A rank reads the whole row of words, so of more hits only those with the words in the title, and the newest,
// have one.
constexpr int most_ranked = 1'000;
// An excerpt is of the first part of a long page.
constexpr int excerpt_characters = 100'000;

/// What somebody asked for, as the index understands it.
struct Question {
  std::string words;               ///< tsquery for the words, "" = nothing can be found
  std::vector<std::string> shown;  ///< for the excerpts
};

Task<Question> question_of(Database& database, std::string typed, Deadline deadline) {
  const auto terms = search_terms(typed);
  Question question;
  if (terms.empty()) co_return question;
  std::vector<std::string> words;
  for (const auto& term : terms) words.push_back(term.words);
  auto rows = co_await database.read(
      {"select phraseto_tsquery('simple', t.words)::text, phraseto_tsquery('english', t.words)::text"
       " from unnest($1::text[]) with ordinality as t (words, n) order by t.n",
       {text_array(words)}},
      deadline);
  if (!rows) co_return std::unexpected(rows.error());
  std::vector<TermForms> forms;
  for (std::size_t row = 0; row < rows->size(); ++row)
    forms.push_back({rows->text(row, 0), rows->text(row, 1)});
  question.words = words_query(terms, forms);
  question.shown = shown_words(terms, forms);
  co_return question;
}

struct Questions {
  std::optional<Question> text, title;
  bool hopeless() const { return (text && text->words.empty()) || (title && title->words.empty()); }
};

/// Conditions on page p and its row f of page_search, with their arguments.
struct Filter {
  std::vector<Value> args;
  std::string conditions = "p.status = 'current'";
  std::string rank;      ///< of a row of `hit` and its f, "" without words to rank by
  std::string in_title;  ///< whether the title has them, of p and f

  std::string argument(Value value) {
    args.push_back(std::move(value));
    return fmt::format("${}", args.size());
  }
  void add(std::string_view condition, Value value) {
    conditions += " and " + fmt::format(fmt::runtime(condition), argument(std::move(value)));
  }
  void add_text(const Question& question) {
    const auto words = argument(question.words) + "::tsquery";
    rank = fmt::format("ts_rank({}, f.words, {})", weights, words);
    conditions += fmt::format(" and f.words @@ {}", words);
    in_title = fmt::format("f.title_words @@ {}", words);
  }
  void add_title(const Question& question) {
    const auto words = argument(question.words) + "::tsquery";
    conditions += fmt::format(" and f.title_words @@ {}", words);
    // 1: the shorter title first.
    if (rank.empty()) rank = fmt::format("ts_rank({}, f.title_words, {}, 1)", weights, words);
  }
};

Statement search_statement(const SearchQuery& query, const Questions& questions, bool with_excerpt) {
  Filter filter;
  filter.args = {query.start, query.limit};
  if (query.space_key)
    filter.add("p.space_id = (select k.id from space k where lower(k.key) = lower({0}))", *query.space_key);
  if (query.title) filter.add("lower(p.title) = lower({0})", *query.title);
  if (query.label) filter.add("exists (select 1 from label l where l.page_id = p.id and l.name = {0})", *query.label);
  if (query.id) filter.add("p.id = {0}::bigint", *query.id);
  if (query.ancestor)
    filter.add(
        "p.id in (with recursive below as ("
        "   select c.id, 1 as depth from page c where c.parent_id = {0}::bigint"
        "   union all"
        "   select c.id, below.depth + 1 from below join page c on c.parent_id = below.id where below.depth < 100)"
        " select below.id from below)",
        *query.ancestor);
  if (questions.text) filter.add_text(*questions.text);
  if (questions.title) filter.add_title(*questions.title);

  std::string order = "p.updated_at desc, p.id desc", rank = "0";
  if (query.order == "created") order = "p.created_at desc, p.id desc";
  if (query.order == "title") order = "lower(p.title), p.id";
  if (query.order == "relevance" && !filter.rank.empty()) {
    if (!filter.in_title.empty()) order = filter.in_title + " desc, " + order;
    rank = fmt::format(
        "case when hit.place <= {} then (select {} from page_search f where f.page_id = hit.id)"
        " else 0 end",
        most_ranked, filter.rank);
  }
  return {
      intern(fmt::format(
          "with hit as (select p.id, p.title, count(*) over () as total, row_number() over (order by {order}) as place"
          " from page p {index} where {conditions}),"
          " ranked as (select hit.id, hit.total, hit.place, {rank} as rank from hit order by 4 desc, hit.place"
          " offset $1::bigint limit $2::bigint)"
          " select {columns}, ranked.total, {plain} from {tables} join ranked on ranked.id = p.id"
          " left join page_search f on f.page_id = p.id order by ranked.rank desc, ranked.place",
          fmt::arg("order", order),
          fmt::arg("index", questions.text || questions.title ? "join page_search f on f.page_id = p.id" : ""),
          fmt::arg("conditions", filter.conditions), fmt::arg("rank", rank), fmt::arg("columns", page_columns),
          fmt::arg("plain", with_excerpt ? fmt::format("left(f.plain, {})", excerpt_characters) : "null::text"),
          fmt::arg("tables", page_tables))),
      std::move(filter.args)};
}

/// A search as the database at hand understands it.
class Search {
 public:
  /// False when nothing can be found.
  Task<bool> understand(Database& database, const SearchQuery& query, Deadline deadline) {
    trial_ = database.dialect() == SqlDialect::sqlite;
    if (trial_) {
      if (query.text) trial_text_ = trial_question(*query.text);
      if (query.title_like) trial_title_ = trial_question(*query.title_like);
      const auto hopeless = [](const auto& question) { return question && question->terms.empty(); };
      co_return !hopeless(trial_text_) && !hopeless(trial_title_);
    }
    for (const auto& [typed, question] :
         {std::pair(&query.text, &questions_.text), std::pair(&query.title_like, &questions_.title)}) {
      if (!*typed) continue;
      auto understood = co_await question_of(database, **typed, deadline);
      if (!understood) co_return std::unexpected(understood.error());
      *question = std::move(*understood);
    }
    co_return !questions_.hopeless();
  }
  Task<Rows> run(Database& database, const SearchQuery& query, bool with_excerpt, Deadline deadline) {
    if (!trial_) co_return co_await database.slow_read(search_statement(query, questions_, with_excerpt), deadline);
    auto search = trial_search(query, trial_text_, trial_title_, with_excerpt);
    co_return co_await database.slow_read({search.sql, std::move(search.args)}, deadline);
  }
  std::vector<std::string> shown() const {
    if (trial_) return trial_text_ ? trial_text_->shown : trial_title_ ? trial_title_->shown : std::vector<std::string>();
    if (questions_.text) return questions_.text->shown;
    return questions_.title ? questions_.title->shown : std::vector<std::string>();
  }

 private:
  bool trial_ = false;
  Questions questions_;
  std::optional<TrialQuestion> trial_text_, trial_title_;
};

}  // namespace

Task<SearchResult> search_pages(Database& database, Gates gates, SearchQuery query, bool with_excerpt,
                                Deadline deadline) {
  SearchResult result;
  Search search;
  auto hopeful = co_await search.understand(database, query, deadline);
  if (!hopeful) co_return std::unexpected(hopeful.error());
  if (!*hopeful) co_return result;
  auto rows = co_await search.run(database, query, with_excerpt, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  const auto shown = search.shown();
  for (std::size_t row = 0; row < rows->size(); ++row) {
    result.hits.push_back({page_summary(*rows, row), {}});
    result.total = rows->number(row, page_column_count);
    if (with_excerpt) result.hits.back().excerpt = excerpt_around(rows->text(row, page_column_count + 1), shown);
  }
  if (result.hits.empty() && query.start > 0) {
    // Beyond the end: the rows, and with them the total, are missing.
    query.start = 0;
    query.limit = 1;
    auto first = co_await search.run(database, query, false, deadline);
    if (!first) co_return std::unexpected(first.error());
    if (!first->empty()) result.total = first->number(0, page_column_count);
  }
  co_return result;
}

}  // namespace afloat::store
