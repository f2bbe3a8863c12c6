#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// What a database looks like to the programs that use it, and what a changed one means for a program of the release
/// that knew it as it was: in an upgrade, its nodes go on reading and writing from expand until the last one is
/// replaced.
namespace afloat::formats {

struct Schema {
  struct Column {
    std::string type;
    std::string default_value;  ///< its expression; "" = none
    std::string filled;         ///< "generated (E)", "identity always", "identity by default"; "" = by whoever writes
    bool not_null = false;
  };
  struct Rule {
    std::string definition;
    std::set<std::string> columns;  ///< of the table; empty when it is about an expression
  };
  struct Reference {
    std::string table;      ///< that is referred to
    std::string on_delete;  ///< "no action", "restrict", "cascade", "set null", "set default"
  };
  struct Table {
    std::string kind;  ///< "table", "view" ...
    std::map<std::string, Column> columns;
    std::map<std::string, Rule> keys;     ///< unique indexes, primary keys among them, by name
    std::map<std::string, Rule> indexes;  ///< the others
    std::map<std::string, Rule> checks;   ///< and exclusions
    std::map<std::string, Rule> foreign_keys;
    std::map<std::string, Reference> references;  ///< foreign key -> where it leads
    std::map<std::string, std::string> triggers;
  };
  std::map<std::string, Table> tables;
  std::map<std::string, std::string> functions;  ///< "name(argument types)" -> its definition, body included
  std::map<std::string, std::string> sequences;  ///< name -> "bigint, start 1, increment 1 ..."
};

/// Gives one row with one JSON document: the schema `public`.
std::string_view schema_sql();
Result<Schema> parse_schema(std::string_view json);

/// What a program that was made for `before` would hit in `after`: one line each, none when it notices nothing. What is
/// new in `after` and touches no statement of that program is no difference.
std::vector<std::string> schema_breaks(const Schema& before, const Schema& after);

}  // namespace afloat::formats
