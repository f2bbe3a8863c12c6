#include "store/dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::store {

namespace {

struct Words {
  std::string_view postgresql, sqlite;
};
// SQLite 3.40 sorts within no aggregate; a subquery hands its rows on in its order.
constexpr auto exchanged = std::to_array<Words>({
    {"json_agg(json_build_object('id', up.id, 'title', up.title) order by up.depth desc) from up)",
     "json_group_array(json_object('id', o.id, 'title', o.title)) from"
     " (select up.id, up.title from up order by up.depth desc) o)"},
    {"json_agg(json_build_object('prefix', l.prefix, 'name', l.name) order by l.name, l.prefix)"
     "    from label l where l.page_id = p.id)",
     "json_group_array(json_object('prefix', o.prefix, 'name', o.name)) from"
     " (select l.prefix, l.name from label l where l.page_id = p.id order by l.name, l.prefix) o)"},
    {"nextval(pg_get_serial_sequence('page', 'id'))", "next_page_id()"},
    {"= any($", "in ($"},
    {"delete from page_body b ", "delete from page_body as b "},
    {"update page_body b ", "update page_body as b "},
});

/// Behind the parenthesis that closes the one just before `at`; npos without one.
std::size_t behind_closing(std::string_view text, std::size_t at) {
  for (int open = 1; at < text.size(); ++at) {
    if (text[at] == '(') ++open;
    if (text[at] == ')' && --open == 0) return at + 1;
  }
  return std::string_view::npos;
}

/// `before` X `)` `after` becomes `open` X `close`, everywhere.
Result<std::string> around(std::string text, std::string_view before, std::string_view after, std::string_view open,
                           std::string_view close) {
  for (auto at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
    const auto end = behind_closing(text, at + before.size());
    if (end == std::string_view::npos || !std::string_view(text).substr(end).starts_with(after))
      return fail(ErrorKind::internal, fmt::format("what stands behind {} is not known", before));
    const auto inner = text.substr(at + before.size(), end - 1 - at - before.size());
    text.replace(at, end + after.size() - at, std::string(open) + inner + std::string(close));
  }
  return text;
}

std::string_view digits_at(std::string_view text, std::size_t at) {
  auto end = at;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return text.substr(at, end - at);
}

/// "interval '24 hours'" in microseconds.
Result<std::string> with_intervals(std::string text) {
  constexpr std::string_view word = "interval '";
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const auto end = text.find('\'', at + word.size());
    const auto length = text.substr(at + word.size(), end - at - word.size());
    const auto number = digits_at(length, 0);
    const auto unit = trim(std::string_view(length).substr(number.size()));
    const std::int64_t seconds = unit.starts_with("second")   ? 1
                                 : unit.starts_with("minute") ? 60
                                 : unit.starts_with("hour")   ? 3600
                                                              : 0;
    if (end == std::string::npos || number.empty() || seconds == 0)
      return fail(ErrorKind::internal, fmt::format("the interval '{}' is not known", length));
    text.replace(at, end + 1 - at, std::to_string(parse_int(number).value_or(0) * seconds * 1'000'000));
  }
  return text;
}

/// "offset $1::bigint limit $2::bigint": SQLite has the limit first.
std::string with_limit_first(std::string text) {
  constexpr std::string_view offset = "offset $", limit = "::bigint limit $", cast = "::bigint";
  for (auto at = text.find(offset); at != std::string::npos; at = text.find(offset, at + 1)) {
    const auto first = std::string(digits_at(text, at + offset.size()));
    const auto middle = at + offset.size() + first.size();
    if (!std::string_view(text).substr(middle).starts_with(limit)) continue;
    const auto second = std::string(digits_at(text, middle + limit.size()));
    const auto end = middle + limit.size() + second.size() + cast.size();
    text.replace(at, end - at, fmt::format("limit ${}::bigint offset ${}::bigint", second, first));
  }
  return text;
}

struct Cast {
  std::string_view type, form;
};
// Longer names before their beginnings. Arguments are texts, so a number has to be made one where nothing else does.
constexpr auto casts = std::to_array<Cast>({
    {"::bigint[]", "select value from json_each('[' || trim(:p{0}, '{{}}') || ']')"},
    {"::bigint", "cast(:p{0} as integer)"},
    {"::integer", "cast(:p{0} as integer)"},
    {"::int", "cast(:p{0} as integer)"},
    {"::double precision", "cast(:p{0} as real)"},
    {"::boolean", "(:p{0} = 'true')"},
    {"::bytea", ":p{0}"},
    {"::jsonb", ":p{0}"},
    {"::text", ":p{0}"},
    {"", ":p{0}"},
});

std::string with_arguments(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto number = text[at] == '$' ? digits_at(text, at + 1) : std::string_view();
    if (number.empty()) {
      out += text[at++];
      continue;
    }
    at += 1 + number.size();
    const auto rest = text.substr(at);
    const auto cast = std::ranges::find_if(casts, [&](const Cast& c) { return rest.starts_with(c.type); });
    out += fmt::format(fmt::runtime(cast->form), number);
    at += cast->type.size();
  }
  return out;
}

/// What none of the rules has taken away, though SQLite does not know it.
std::optional<std::string_view> left_over(std::string_view text) {
  for (const std::string_view word :
       {"::", " extract(", "(extract(", "generate_series(", "interval ", "jsonb", "json_agg", "unnest(", "tsvector",
        "tsquery", "nextval(", "any(", "for update", "make_interval", "pg_", "clock_timestamp"})
    if (text.contains(word)) return word;
  return std::nullopt;
}

Result<std::string> by_rules(std::string_view sql) {
  std::string text(sql);
  for (const auto& [postgresql, sqlite] : exchanged) text = replace_all(std::move(text), postgresql, sqlite);
  auto times = around(std::move(text), "(extract(epoch from ", " * 1000)::bigint", "((", ") / 1000)");
  if (!times) return times;
  auto lengths = around(std::move(*times), "make_interval(secs => ", "", "(", " * 1000000)");
  if (!lengths) return lengths;
  auto intervals = with_intervals(std::move(*lengths));
  if (!intervals) return intervals;
  auto out = with_arguments(with_limit_first(std::move(*intervals)));
  if (const auto word = left_over(out))
    return fail(ErrorKind::internal, fmt::format("\"{}\" is PostgreSQL's alone", *word));
  return out;
}

}  // namespace

std::string statement_digest(std::string_view sql) { return sha256_hex(sql).substr(0, 16); }

Result<std::vector<std::string>> sqlite_statements(std::string_view sql) {
  std::vector<std::string_view> steps{sql};
  const auto digest = statement_digest(sql);
  const auto forms = sqlite_forms();
  if (const auto form = std::ranges::find(forms, digest, &SqliteForm::digest); form != forms.end()) steps = form->steps;
  std::vector<std::string> out;
  for (const auto step : steps) {
    auto text = by_rules(step);
    if (!text)
      return fail(ErrorKind::internal, fmt::format("A statement has no form for a trial's database, {}: write one in "
                                                   "store/dialect_forms.cc for the digest {}. It is: {}",
                                                   text.error().message(), digest, sql));
    out.push_back(std::move(*text));
  }
  return out;
}

}  // namespace afloat::store
