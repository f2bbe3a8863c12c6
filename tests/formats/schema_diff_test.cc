#include "formats/schema_diff.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/text.h"

namespace afloat::formats {
namespace {

/// Two tables as a release knows them.
Schema known() {
  Schema schema;
  auto& page = schema.tables["page"];
  page.kind = "table";
  page.columns = {{"id", {.type = "bigint", .filled = "identity by default", .not_null = true}},
                  {"title", {.type = "text", .not_null = true}},
                  {"status", {.type = "text", .default_value = "'current'::text", .not_null = true}},
                  {"parent_id", {.type = "bigint"}}};
  page.keys = {{"page_pkey", {"CREATE UNIQUE INDEX page_pkey ON page (id)", {"id"}}},
               {"page_title", {"CREATE UNIQUE INDEX page_title ON page (lower(title))", {}}}};
  page.indexes = {{"page_parent", {"CREATE INDEX page_parent ON page (parent_id)", {"parent_id"}}}};
  page.triggers = {{"page_changed", "CREATE TRIGGER page_changed ... O"}};
  auto& label = schema.tables["label"];
  label.kind = "table";
  label.columns = {{"page_id", {.type = "bigint", .not_null = true}}, {"name", {.type = "text", .not_null = true}}};
  label.foreign_keys = {
      {"label_page_id_fkey", {"FOREIGN KEY (page_id) REFERENCES page(id) ON DELETE CASCADE", {"page_id"}}}};
  label.references = {{"label_page_id_fkey", {"page", "cascade"}}};
  schema.functions = {{"afloat_write(integer,integer)", "CREATE FUNCTION afloat_write ..."}};
  schema.sequences = {{"upgrade_change", "bigint, start 1, increment 1"}};
  return schema;
}

struct Change {
  const char* what;
  std::function<void(Schema&)> make;
  const char* said;  ///< part of the one line that is expected
};

TEST(SchemaDiff, FindsEachChangeThatOldCodeWouldHit) {
  const Change changes[] = {
      {"a table is dropped", [](Schema& s) { s.tables.erase("label"); }, "table label is gone"},
      {"a table becomes a view", [](Schema& s) { s.tables["label"].kind = "view"; }, "was a table and is a view"},
      {"a column is dropped, or renamed", [](Schema& s) { s.tables["page"].columns.erase("title"); },
       "column page.title is gone"},
      {"a column is wider", [](Schema& s) { s.tables["page"].columns["parent_id"].type = "text"; },
       "column page.parent_id was bigint and is text"},
      {"a default is dropped", [](Schema& s) { s.tables["page"].columns["status"].default_value = ""; },
       "the default of page.status was 'current'::text and is none"},
      {"a default is another", [](Schema& s) { s.tables["page"].columns["status"].default_value = "'draft'::text"; },
       "and is 'draft'::text"},
      {"an identity is always made", [](Schema& s) { s.tables["page"].columns["id"].filled = "identity always"; },
       "column page.id was filled by identity by default and is by identity always"},
      {"a column is computed", [](Schema& s) { s.tables["page"].columns["title"].filled = "generated (upper(name))"; },
       "column page.title was filled by whoever writes"},
      {"null is refused", [](Schema& s) { s.tables["page"].columns["parent_id"].not_null = true; },
       "page.parent_id refuses null now"},
      {"null is taken", [](Schema& s) { s.tables["page"].columns["title"].not_null = false; },
       "page.title may be null now"},
      {"a column that must be given",
       [](Schema& s) { s.tables["page"].columns["slug"] = {.type = "text", .not_null = true}; },
       "new column page.slug refuses null and has no default"},
      {"a unique index is dropped", [](Schema& s) { s.tables["page"].keys.erase("page_title"); },
       "unique index of page page_title is gone: ON CONFLICT"},
      {"a unique index is added",
       [](Schema& s) {
         s.tables["label"].keys["label_name"] = {"CREATE UNIQUE INDEX label_name ON label (name)", {"name"}};
       },
       "new unique index label_name of label may refuse"},
      {"a unique index on an expression is added",
       [](Schema& s) {
         s.tables["label"].keys["label_lower"] = {"CREATE UNIQUE INDEX label_lower ON label (lower(name))", {}};
       },
       "new unique index label_lower of label may refuse"},
      {"an index is dropped", [](Schema& s) { s.tables["page"].indexes.clear(); }, "index of page page_parent is gone"},
      {"a check is added",
       [](Schema& s) { s.tables["label"].checks["label_short"] = {"CHECK (length(name) < 50)", {"name"}}; },
       "new check label_short of label may refuse"},
      {"a check joins an old column to a new one",
       [](Schema& s) {
         s.tables["label"].columns["size"] = {.type = "int"};
         s.tables["label"].checks["label_size"] = {"CHECK (length(name) = size)", {"name", "size"}};
       },
       "new check label_size of label may refuse"},
      {"a foreign key is added",
       [](Schema& s) {
         s.tables["page"].foreign_keys["page_parent_fkey"] = {"FOREIGN KEY (parent_id) REFERENCES page(id)",
                                                              {"parent_id"}};
       },
       "new foreign key page_parent_fkey of page may refuse"},
      {"a foreign key is dropped",
       [](Schema& s) {
         s.tables["label"].foreign_keys.clear();
         s.tables["label"].references.clear();
       },
       "foreign key of label label_page_id_fkey is gone"},
      {"a new table holds rows of an old one",
       [](Schema& s) {
         s.tables["reaction"].columns["page_id"] = {.type = "bigint"};
         s.tables["reaction"].foreign_keys["reaction_page_fkey"] = {"FOREIGN KEY (page_id) REFERENCES page(id)",
                                                                    {"page_id"}};
         s.tables["reaction"].references["reaction_page_fkey"] = {"page", "no action"};
       },
       "keeps the old release from removing rows of page (on delete no action)"},
      {"a trigger is dropped", [](Schema& s) { s.tables["page"].triggers.clear(); },
       "trigger of page page_changed is gone"},
      {"a trigger is switched off",
       [](Schema& s) { s.tables["page"].triggers["page_changed"] = "CREATE TRIGGER page_changed ... D"; },
       "trigger of page page_changed is another one"},
      {"a function has another signature",
       [](Schema& s) {
         auto moved = s.functions.extract("afloat_write(integer,integer)");
         moved.key() = "afloat_write(bigint,integer)";
         s.functions.insert(std::move(moved));
       },
       "function afloat_write(integer,integer) is gone"},
      {"a function does something else",
       [](Schema& s) { s.functions["afloat_write(integer,integer)"] = "CREATE FUNCTION afloat_write STABLE ..."; },
       "function afloat_write(integer,integer) is another one"},
      {"a sequence is dropped", [](Schema& s) { s.sequences.clear(); }, "sequence upgrade_change is gone"},
      {"a sequence counts otherwise",
       [](Schema& s) { s.sequences["upgrade_change"] = "bigint, start 1, increment -1"; },
       "sequence upgrade_change is another one"},
  };
  for (const auto& [what, make, said] : changes) {
    SCOPED_TRACE(what);
    auto after = known();
    make(after);
    const auto found = schema_breaks(known(), after);
    ASSERT_EQ(found.size(), 1U) << join(found, "\n");
    EXPECT_NE(found[0].find(said), std::string::npos) << found[0];
  }
}

TEST(SchemaDiff, WhatExpandAddsForTheNewReleaseAloneIsNoDifference) {
  EXPECT_EQ(schema_breaks(known(), known()), std::vector<std::string>());
  auto after = known();
  auto& page = after.tables["page"];
  page.columns["words"] = {.type = "tsvector"};
  page.columns["kind"] = {.type = "text", .default_value = "'page'::text", .not_null = true};
  page.columns["body_hash"] = {.type = "bytea"};
  page.checks["page_words"] = {"CHECK (words <> '')", {"words"}};
  page.keys["page_hash"] = {"CREATE UNIQUE INDEX page_hash ON page (body_hash)", {"body_hash"}};
  page.indexes["page_words"] = {"CREATE INDEX page_words ON page USING gin (words)", {"words"}};
  page.foreign_keys["page_body_fkey"] = {"FOREIGN KEY (body_hash) REFERENCES page_body(hash)", {"body_hash"}};
  page.references["page_body_fkey"] = {"page_body", "no action"};
  page.triggers["page_words_stale"] = "CREATE TRIGGER page_words_stale ... O";
  after.tables["page_body"].columns["hash"] = {.type = "bytea", .not_null = true};
  after.tables["reaction"].columns["page_id"] = {.type = "bigint", .not_null = true};
  after.tables["reaction"].references["reaction_page_fkey"] = {"page", "cascade"};
  after.functions["page_words_stale()"] = "CREATE FUNCTION page_words_stale ...";
  after.sequences["reaction_id_seq"] = "bigint, start 1, increment 1";
  EXPECT_EQ(schema_breaks(known(), after), std::vector<std::string>());
}

}  // namespace
}  // namespace afloat::formats
