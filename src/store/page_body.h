#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "ports/database.h"

/// How page bodies lie in the database.
///
/// 1.0.0 kept each version's body in page_version.body. Since 1.1.0 a body lies compressed in page_body, once
/// for all versions that have the same text, and page_version.body_hash names it. While a site rolls from the
/// one to the other, nodes of both releases read and write: until the gate `body_store` opens, this release
/// writes both forms and reads the stored one if it is there, else the old column. Afterwards no statement
/// names page_version.body, which finalize then drops.
namespace afloat::store {

enum class BodyForm {
  both,    ///< 1.0.0 nodes may read and write
  stored,  ///< the gate is open: page_body alone
};
BodyForm body_form(Gates gates);

/// A body as page_body holds it.
struct StoredBody {
  std::string hash;      ///< SHA-256 of the text, 32 raw bytes
  std::int64_t size = 0; ///< of the text, in bytes
  std::string data;      ///< zstd frame
};
StoredBody store_body(std::string_view body);
/// Errors: data_corrupted when `data` is no frame, or of another text than `hash` says.
Result<std::string> open_body(std::string_view hash, std::string_view data);

/// For a select over page_version v: three columns (hash, data, old text), and the join they need.
std::string_view body_columns(BodyForm form);
inline constexpr int body_column_count = 3;
inline constexpr std::string_view body_join = " left join page_body b on b.hash = v.body_hash ";
/// What those columns hold, from `column` on. Errors: data_corrupted.
Result<std::string> body_from(const Rows& rows, std::size_t row, std::size_t column);

/// Gives page_body rows that no version has used for a day back, in two steps a day apart, so that a save
/// which finds its text stored already never loses it. Only once the gate is open.
Task<void> collect_bodies(Database& database, Gates gates, Deadline deadline);

}  // namespace afloat::store
