#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "adapters/sqlite/connection.h"
#include "ports/database.h"

/// The database of a trial: one file, one process.
namespace afloat::sqlite {

struct Options {
  std::string file;
  Dialect dialect;
  std::span<const std::string_view> schema;  ///< version 1, run once on an empty file
  /// What later releases changed, each with the version of the file afterwards, in rising order from 2 on. A file
  /// gets those that it has not, when it is prepared; one with a higher version than theirs is refused.
  std::span<const std::pair<int, std::string_view>> changes;
};
inline constexpr std::string_view newer_schema = "NEWER_SCHEMA";

/// Makes the file, or checks that it is one of ours and brings it up to date. Blocks. Errors: failed_precondition with code newer_schema when a
/// later release has written it, and without when it is something else's; unavailable when it can't be opened.
Result<void> prepare_file(const Options& options);

/// A Database on one io_context with two threads of its own, one that writes and one that reads. A write is
/// one transaction that is on the disk before it is answered. Gates are not compared: one build uses the file at a
/// time, and every table has that build's form. No outcome is ever unknown, except that of a commit that the disk
/// refused (deadline_exceeded).
/// The file must be prepared. Ownership: nothing may be waiting for an answer when it is destroyed.
std::unique_ptr<Database> make_database(boost::asio::io_context& context, Options options);

}  // namespace afloat::sqlite
