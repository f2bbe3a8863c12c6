#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "store/upgrade_task.h"

/// What an upgrade task may do to the schema while two releases serve. Each rule is something that failed writes or
/// stood in their way somewhere; a statement that breaks one is refused here, before it is ever run.
namespace afloat::store {
namespace {

using cluster::TaskKind;

/// Where in a task a statement stands.
enum class Part {
  expand,    ///< old nodes serve
  relax,     ///< no old node writes any more, new ones do
  contract,  ///< every node uses the new form
};

/// Lower case, one space between words, nothing in parentheses of function bodies.
std::string plain(std::string_view sql) {
  auto text = to_lower(sql);
  // A function's body runs later, not now.
  text = std::regex_replace(text, std::regex(R"(\$\$[^]*?\$\$)"), "$$$$");
  text = std::regex_replace(text, std::regex(R"(\s+)"), " ");
  return std::string(trim(text));
}

/// Of a task: what makes later statements of the same task harmless.
struct Known {
  std::set<std::string> made;      ///< tables that this task creates: nobody uses them yet
  std::set<std::string> not_null;  ///< columns that a validated check keeps from being null
  std::map<std::string, std::vector<std::string>> checks;
};

bool has(const std::string& text, const char* pattern) { return std::regex_search(text, std::regex(pattern)); }

std::vector<std::string> all_of(const std::string& text, const char* pattern) {
  std::vector<std::string> found;
  const std::regex expression(pattern);
  for (std::sregex_iterator match(text.begin(), text.end(), expression), end; match != end; ++match)
    found.push_back((*match)[1]);
  return found;
}

/// The rules that one statement breaks.
std::vector<std::string> broken_rules(Part part, std::string_view sql, Known& known) {
  const auto text = plain(sql);
  std::vector<std::string> broken;
  const auto refuse = [&](bool wrong, const char* rule) {
    if (wrong) broken.emplace_back(rule);
  };
  for (auto& table : all_of(text, R"(create (?:unlogged )?table (?:if not exists )?(\w+))")) known.made.insert(table);
  const auto altered = all_of(text, R"(alter table (?:if exists )?(?:only )?(\w+))");
  const bool of_others = std::ranges::any_of(altered, [&](const auto& table) { return !known.made.contains(table); });
  const auto indexed = all_of(text, R"(create (?:unique )?index [^(]*? on (\w+))");
  const bool index_of_others =
      std::ranges::any_of(indexed, [&](const auto& table) { return !known.made.contains(table); });

  refuse(has(text, R"(\brename (?:column |to |constraint ))"), "a rename breaks whoever still uses the old name");
  refuse(has(text, R"(alter column \w+ (?:set data )?type )"),
         "a changed type rewrites the table under an exclusive lock");
  refuse(has(text, R"(^(?:update|delete|insert|with|merge) )"), "rows are changed by backfill, in batches, not by DDL");
  refuse(has(text, R"(\bjson\b)"), "json has no equality and keeps what it is given: use jsonb");
  refuse(has(text, R"(\b(?:small|big)?serial\b)"), "keys are identities of 64 bits");
  refuse(has(text, R"(\b(?:int|integer|int4|smallint)\b[^,()]*\b(?:primary key|generated))"), "keys have 64 bits");
  refuse(has(text, R"(create (?:unique )?index )") && index_of_others && !has(text, R"(index concurrently )"),
         "an index is made concurrently");
  refuse(has(text, R"(\breturning \*|select \*)"), "columns are named: a cached plan must not change its result type");
  refuse(has(text, R"(add column (?:if not exists )?\w+ [^,]*default [^,]*\()") && of_others,
         "a default that is computed for each row rewrites the table");
  refuse(has(text, R"(add (?:constraint \w+ )?(?:foreign key|check)\b)") && of_others && !has(text, R"(not valid)"),
         "a constraint is added NOT VALID and validated afterwards");
  refuse(
      has(text, R"(add constraint \w+ (?:unique|primary key|exclude)\b)") && of_others && !has(text, R"(using index)"),
      "a unique constraint is made from an index that was built concurrently");
  refuse(has(text, R"(\block table|vacuum full|cluster \w|reindex (?!.*concurrently))"),
         "a lock that keeps everybody out");

  if (part == Part::expand) {
    refuse(has(text, R"(\bdrop (?:table|column|view|function))"), "old nodes use it until finalize: contract drops");
    refuse(has(text, R"(drop index (?!concurrently))"), "an index is dropped concurrently");
    refuse(has(text, R"(set not null|add column (?:if not exists )?\w+ [^,]*not null)") && of_others,
           "old nodes write rows without the new column");
    refuse(has(text, R"(add (?:constraint \w+ )?check\b)") && of_others, "old nodes may write what the check refuses");
    refuse(has(text, R"(create unique index )") && index_of_others, "old nodes may write what the index refuses");
    refuse(has(text, R"(drop not null|drop default)"),
           "new nodes would write what old ones can't read: relax does that");
  } else {
    for (const auto& column : all_of(text, R"(alter column (\w+) set not null)"))
      refuse(!known.not_null.contains(column),
             "SET NOT NULL scans the table under a lock unless a valid check spares it");
  }
  if (part == Part::relax)
    refuse(has(text, R"(\bdrop (?:table|column|view))"), "nodes with stale gates still use it: contract drops");

  // What later statements may rely on.
  static const std::regex added_check(R"(add constraint (\w+) check \(([^)]*)\))");
  for (std::sregex_iterator match(text.begin(), text.end(), added_check), end; match != end; ++match)
    known.checks[(*match)[1]] = all_of((*match)[2], R"((\w+) is not null)");
  for (const auto& name : all_of(text, R"(validate constraint (\w+))"))
    for (const auto& column : known.checks[name]) known.not_null.insert(column);
  return broken;
}

std::vector<std::string> broken_rules(const UpgradeTask& task, Known& known) {
  std::vector<std::string> all;
  const auto add = [&](Part part, std::string_view sql) {
    for (auto& rule : broken_rules(part, sql, known))
      all.push_back(fmt::format("{}: {}\n  {}", task.declaration.id, rule, sql));
  };
  for (const auto& sql : task.relax) add(Part::relax, sql);
  for (const auto& step : task.steps)
    add(task.declaration.kind == TaskKind::expand ? Part::expand : Part::contract, step.sql);
  return all;
}

TEST(Ddl, NoUpgradeTaskDoesWhatMustNotBeDoneWhileTwoReleasesServe) {
  std::size_t statements = 0;
  for (const auto& task : all_tasks()) {
    Known known;
    for (const auto& broken : broken_rules(task, known)) ADD_FAILURE() << broken;
    statements += task.steps.size() + task.relax.size();
    if (task.declaration.kind == TaskKind::backfill) {
      EXPECT_TRUE(task.batch) << task.declaration.id;
      EXPECT_FALSE(task.remaining_sql.empty()) << task.declaration.id << " does not say when it is done";
    }
    for (const auto& step : task.steps) {
      // One that is left half-built must be found and built anew.
      const bool concurrent = plain(step.sql).contains("index concurrently");
      EXPECT_EQ(concurrent, !step.concurrent_index.empty()) << step.sql;
      if (concurrent) EXPECT_FALSE(step.fresh_sql.empty()) << "not possible inside a transaction: " << step.sql;
    }
  }
  EXPECT_GT(statements, 20U);
}

struct Refused {
  Part part;
  std::string_view sql;
};

TEST(Ddl, EachUnsafeStatementIsRefused) {
  constexpr Refused cases[] = {
      {Part::expand, "alter table page rename column title to name"},
      {Part::contract, "alter table page rename to pages"},
      {Part::expand, "alter table page alter column position type bigint"},
      {Part::contract, "alter table page alter column position set data type bigint"},
      {Part::expand, "alter table page drop column title"},
      {Part::expand, "drop table label"},
      {Part::relax, "alter table page drop column title"},
      {Part::expand, "alter table page add column token uuid default gen_random_uuid()"},
      {Part::expand, "alter table page add column word text not null default ''"},
      {Part::expand, "alter table page alter column title set not null"},
      {Part::contract, "alter table page alter column title set not null"},
      {Part::relax, "alter table page add constraint c check (title is not null)"},
      {Part::expand, "alter table page add constraint c check (title <> '') not valid"},
      {Part::expand, "alter table page add constraint f foreign key (parent_id) references page (id)"},
      {Part::contract, "alter table page add constraint u unique (title)"},
      {Part::expand, "create index page_words on page (title)"},
      {Part::expand, "create unique index concurrently page_words on page (title)"},
      {Part::expand, "drop index page_title"},
      {Part::expand, "alter table page add column data json"},
      {Part::expand, "create table word (id serial primary key)"},
      {Part::expand, "create table word (id integer primary key, text text)"},
      {Part::expand, "create table word (id int generated always as identity)"},
      {Part::expand, "update page set title = upper(title)"},
      {Part::expand, "insert into label (page_id, name) select id, 'x' from page"},
      {Part::expand, "with old as (select id from page) delete from label using old"},
      {Part::expand, "alter table page alter column title drop not null"},
      {Part::contract, "vacuum full page"},
      {Part::contract, "reindex table page"},
      {Part::expand, "lock table page"},
      {Part::expand, "create view recent as select * from page"},
  };
  for (const auto& [part, sql] : cases) {
    Known known;
    EXPECT_FALSE(broken_rules(part, sql, known).empty()) << sql;
  }
}

TEST(Ddl, SafeStatementsPass) {
  constexpr Refused cases[] = {
      {Part::expand, "alter table page add column word text"},
      {Part::expand, "alter table page add column word text default ''"},
      {Part::expand, "create table word (id bigint generated by default as identity primary key, data jsonb not null)"},
      {Part::expand, "create index word_data on word (id)"},  // of the table above
      {Part::expand, "create index concurrently page_words on page (title)"},
      {Part::expand, "alter table page add constraint f foreign key (parent_id) references page (id) not valid"},
      {Part::expand, "alter table page validate constraint f"},
      {Part::expand,
       "create or replace function f() returns trigger language plpgsql as $$ begin update page set"
       " title = ''; return new; end $$"},
      {Part::relax, "alter table page alter column title drop not null"},
      {Part::relax, "alter table page add constraint c check (word is not null and title is not null) not valid"},
      {Part::relax, "alter table page validate constraint c"},
      {Part::contract, "alter table page alter column word set not null, alter column title set not null"},
      {Part::contract, "alter table page drop column position"},
      {Part::contract, "drop index page_words"},
  };
  Known known;
  for (const auto& [part, sql] : cases)
    for (const auto& rule : broken_rules(part, sql, known)) ADD_FAILURE() << sql << ": " << rule;
}

}  // namespace
}  // namespace afloat::store
