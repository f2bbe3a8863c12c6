#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "ports/database.h"

/// How page bodies lie in the database.
///
/// Since 1.1.0 a body lies compressed in page_body, once for all versions that have the same text, and
/// page_version.body_hash names it. 1.0 kept it in page_version.body; a site that has been finalized at 1.1, as each
/// one has that this release can join, has no such column any more.
namespace afloat::store {

/// A body as page_body holds it.
struct StoredBody {
  std::string hash;      ///< SHA-256 of the text, 32 raw bytes
  std::int64_t size = 0; ///< of the text, in bytes
  std::string data;      ///< zstd frame
};
StoredBody store_body(std::string_view body);
/// Errors: data_corrupted when `data` is no frame, or of another text than `hash` says.
Result<std::string> open_body(std::string_view hash, std::string_view data);

/// For a select over page_version v: two columns (hash, data), and the join they need.
inline constexpr std::string_view body_columns = " v.body_hash, b.data ";
inline constexpr int body_column_count = 2;
inline constexpr std::string_view body_join = " left join page_body b on b.hash = v.body_hash ";
/// What those columns hold, from `column` on. Errors: data_corrupted.
Result<std::string> body_from(const Rows& rows, std::size_t row, std::size_t column);

/// Gives page_body rows that no version has used for a day back, in two steps a day apart, so that a save
/// which finds its text stored already never loses it.
Task<void> collect_bodies(Database& database, Gates gates, Deadline deadline);

}  // namespace afloat::store
