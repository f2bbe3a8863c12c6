#include "formats/schema_diff.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_fields.h"

namespace afloat::formats {

namespace json = boost::json;

std::string_view schema_sql() {
  return R"(with rel as (
  select c.oid, c.relname, c.relkind from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
), col as (
  select a.attrelid, jsonb_object_agg(a.attname, jsonb_build_object(
    'type', format_type(a.atttypid, a.atttypmod),
    'default', case when a.attgenerated = '' then coalesce(pg_get_expr(d.adbin, d.adrelid), '') else '' end,
    'filled', case when a.attgenerated <> '' then 'generated (' || pg_get_expr(d.adbin, d.adrelid) || ')'
      when a.attidentity = 'a' then 'identity always' when a.attidentity = 'd' then 'identity by default' else '' end,
    'not_null', a.attnotnull)) as of
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attnum > 0 and not a.attisdropped group by a.attrelid
), idx as (
  select i.indrelid, i.indisunique, jsonb_object_agg(c.relname, jsonb_build_object('definition', pg_get_indexdef(i.indexrelid),
    'columns', (select coalesce(jsonb_agg(a.attname), '[]') from pg_attribute a
      where a.attrelid = i.indrelid and a.attnum = any(i.indkey::int[]) and not 0 = any(i.indkey::int[])))) as of
  from pg_index i join pg_class c on c.oid = i.indexrelid group by i.indrelid, i.indisunique
), con as (
  select n.conrelid, n.contype = 'f' as leads, jsonb_object_agg(n.conname, jsonb_build_object(
    'definition', replace(pg_get_constraintdef(n.oid), ' NOT VALID', ''),
    'table', coalesce((select t.relname from pg_class t where t.oid = n.confrelid), ''),
    'on_delete', case n.confdeltype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
      when 'n' then 'set null' when 'd' then 'set default' else '' end,
    'columns', (select coalesce(jsonb_agg(a.attname), '[]') from pg_attribute a
      where a.attrelid = n.conrelid and a.attnum = any(n.conkey)))) as of
  from pg_constraint n where n.contype in ('c', 'x', 'f') group by n.conrelid, n.contype = 'f'
), trg as (
  select t.tgrelid, jsonb_object_agg(t.tgname, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text) as of
  from pg_trigger t where not t.tgisinternal group by t.tgrelid
)
select jsonb_build_object(
  'tables', (select jsonb_object_agg(rel.relname, jsonb_build_object(
    'kind', case rel.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
      when 'm' then 'materialized view' else 'foreign table' end,
    'columns', coalesce((select of from col where attrelid = rel.oid), '{}'),
    'keys', coalesce((select of from idx where indrelid = rel.oid and indisunique), '{}'),
    'indexes', coalesce((select of from idx where indrelid = rel.oid and not indisunique), '{}'),
    'checks', coalesce((select of from con where conrelid = rel.oid and not leads), '{}'),
    'foreign_keys', coalesce((select of from con where conrelid = rel.oid and leads), '{}'),
    'triggers', coalesce((select of from trg where tgrelid = rel.oid), '{}'))) from rel),
  'functions', (select coalesce(jsonb_object_agg(p.oid::regprocedure::text, pg_get_functiondef(p.oid)), '{}')
    from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prokind in ('f', 'p')),
  'sequences', (select coalesce(jsonb_object_agg(s.sequencename, s.data_type::text || ', start ' || s.start_value ||
    ', increment ' || s.increment_by || ', most ' || s.max_value || case when s.cycle then ', cycles' else '' end), '{}')
    from pg_sequences s where s.schemaname = 'public')))";
}

namespace {

std::map<std::string, std::string> texts(const json::object& of, std::string_view field) {
  std::map<std::string, std::string> all;
  if (const auto* part = object_at(of, field))
    for (const auto& [name, value] : *part) all[std::string(name)] = string_or(*part, name);
  return all;
}

std::map<std::string, Schema::Rule> rules(const json::object& table, std::string_view field) {
  std::map<std::string, Schema::Rule> all;
  const auto* part = object_at(table, field);
  for (const auto& [name, value] : part ? *part : json::object()) {
    auto& rule = all[std::string(name)];
    rule.definition = string_or(value.as_object(), "definition");
    for (const auto& column : value.at("columns").as_array()) rule.columns.emplace(column.as_string());
  }
  return all;
}

Schema::Table table_from(const json::object& found) {
  Schema::Table table;
  table.kind = string_or(found, "kind");
  for (const auto& [name, value] : *object_at(found, "columns")) {
    const auto& o = value.as_object();
    table.columns[std::string(name)] = {.type = string_or(o, "type"),
                                        .default_value = string_or(o, "default"),
                                        .filled = string_or(o, "filled"),
                                        .not_null = bool_or(o, "not_null")};
  }
  table.keys = rules(found, "keys");
  table.indexes = rules(found, "indexes");
  table.checks = rules(found, "checks");
  table.foreign_keys = rules(found, "foreign_keys");
  for (const auto& [name, value] : *object_at(found, "foreign_keys"))
    table.references[std::string(name)] = {string_or(value.as_object(), "table"),
                                           string_or(value.as_object(), "on_delete")};
  table.triggers = texts(found, "triggers");
  return table;
}

/// One comparison; `say` collects.
class Comparison {
 public:
  Comparison(const Schema& before, const Schema& after) : before_(before), after_(after) {}

  std::vector<std::string> all() && {
    for (const auto& [name, table] : before_.tables) {
      const auto found = after_.tables.find(name);
      if (found == after_.tables.end())
        say("table {} is gone: every statement of the old release on it fails", name);
      else
        of_table(name, table, found->second);
    }
    for (const auto& [name, table] : after_.tables)
      for (const auto& [key, reference] : table.references) new_reference(name, key, reference);
    gone_or_other(before_.functions, after_.functions, "function",
                  "the old release calls it, and relies on what it does");
    gone_or_other(before_.sequences, after_.sequences, "sequence", "the old release takes numbers from it");
    return std::move(lines_);
  }

 private:
  template <class... Args>
  void say(fmt::format_string<Args...> text, Args&&... args) {
    lines_.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  void gone_or_other(const std::map<std::string, std::string>& before, const std::map<std::string, std::string>& after,
                     std::string_view what, std::string_view meaning) {
    for (const auto& [name, definition] : before) {
      const auto found = after.find(name);
      if (found == after.end())
        say("{} {} is gone: {}", what, name, meaning);
      else if (found->second != definition)
        say("{} {} is another one: {}. Was: {}  Is: {}", what, name, meaning, definition, found->second);
    }
  }
  void gone_or_other(const std::map<std::string, Schema::Rule>& before,
                     const std::map<std::string, Schema::Rule>& after, const std::string& what,
                     std::string_view meaning) {
    const auto definitions = [](const auto& rules) {
      std::map<std::string, std::string> all;
      for (const auto& [name, rule] : rules) all[name] = rule.definition;
      return all;
    };
    gone_or_other(definitions(before), definitions(after), what, meaning);
  }

  void of_table(const std::string& name, const Schema::Table& old, const Schema::Table& now) {
    if (old.kind != now.kind)
      say("{} was a {} and is a {}: the old release may not be able to write it", name, old.kind, now.kind);
    for (const auto& [column, was] : old.columns) {
      const auto found = now.columns.find(column);
      if (found == now.columns.end())
        say("column {}.{} is gone: statements of the old release name it", name, column);
      else
        of_column(name + '.' + column, was, found->second);
    }
    for (const auto& [column, is] : now.columns)
      if (!old.columns.contains(column) && is.not_null && is.default_value.empty() && is.filled.empty())
        say("new column {}.{} refuses null and has no default: inserts of the old release, which don't know it, fail",
            name, column);

    gone_or_other(old.keys, now.keys, "unique index of " + name,
                  "ON CONFLICT of the old release needs one on those columns, and doubles are refused by it");
    gone_or_other(old.indexes, now.indexes, "index of " + name,
                  "searches of the old release read the whole table without it");
    gone_or_other(old.foreign_keys, now.foreign_keys, "foreign key of " + name,
                  "the old release relies on it to refuse, or to remove what belongs to a removed row");
    gone_or_other(old.triggers, now.triggers, "trigger of " + name, "writes of the old release rely on it");
    stricter(name, old, old.keys, now.keys, "unique index");
    stricter(name, old, old.checks, now.checks, "check");
    stricter(name, old, old.foreign_keys, now.foreign_keys, "foreign key");
  }

  void of_column(const std::string& name, const Schema::Column& was, const Schema::Column& is) {
    const auto shown = [](const std::string& text) { return text.empty() ? std::string("none") : text; };
    if (was.type != is.type)
      say("column {} was {} and is {}: cached plans of the old release fail, and it may not read the values", name,
          was.type, is.type);
    if (was.default_value != is.default_value)
      say("the default of {} was {} and is {}: inserts of the old release that leave it out mean the former", name,
          shown(was.default_value), shown(is.default_value));
    if (was.filled != is.filled)
      say("column {} was filled by {} and is by {}: the old release may be refused when it writes it, or write none",
          name, was.filled.empty() ? "whoever writes" : was.filled, is.filled.empty() ? "whoever writes" : is.filled);
    if (!was.not_null && is.not_null) say("column {} refuses null now, which the old release may write", name);
    if (was.not_null && !is.not_null) say("column {} may be null now, which the old release can't read", name);
  }

  /// A rule that old code can break: one that it does not know, about a column that it writes.
  void stricter(const std::string& name, const Schema::Table& old, const std::map<std::string, Schema::Rule>& before,
                const std::map<std::string, Schema::Rule>& after, std::string_view what) {
    for (const auto& [rule, is] : after) {
      const auto known = before.find(rule);
      if (known != before.end() && known->second.definition == is.definition) continue;
      const bool of_new_columns = !is.columns.empty() && std::ranges::none_of(is.columns, [&](const auto& c) {
        return old.columns.contains(c);
      });
      if (!of_new_columns)
        say("new {} {} of {} may refuse what the old release writes: {}", what, rule, name, is.definition);
    }
  }

  /// Old code removes rows without knowing who refers to them.
  void new_reference(const std::string& table, const std::string& key, const Schema::Reference& reference) {
    const auto known = before_.tables.find(table);
    if (known != before_.tables.end() && known->second.references.contains(key)) return;
    if (!before_.tables.contains(reference.table)) return;
    if (reference.on_delete == "cascade" || reference.on_delete == "set null") return;
    say("new foreign key {} of {} keeps the old release from removing rows of {} (on delete {})", key, table,
        reference.table, reference.on_delete);
  }

  const Schema& before_;
  const Schema& after_;
  std::vector<std::string> lines_;
};

}  // namespace

Result<Schema> parse_schema(std::string_view text) {
  auto found = parse_json_object(text, "the schema");
  if (!found) return std::unexpected(found.error());
  const auto* tables = object_at(*found, "tables");
  if (!tables) return fail(ErrorKind::invalid_argument, "The schema has no tables.");
  Schema schema;
  for (const auto& [name, table] : *tables) schema.tables[std::string(name)] = table_from(table.as_object());
  schema.functions = texts(*found, "functions");
  schema.sequences = texts(*found, "sequences");
  return schema;
}

std::vector<std::string> schema_breaks(const Schema& before, const Schema& after) {
  return Comparison(before, after).all();
}

}  // namespace afloat::formats
