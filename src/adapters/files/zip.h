#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// Zip archives in memory, for what people carry from one machine to another. Reentrant.
namespace afloat::files {

struct ZipFile {
  std::string path;  ///< relative, safe (is_safe_path)
  std::string content;
};

/// `unix_s`: the time that every file gets. Errors: invalid_argument for an unsafe path; internal.
Result<std::string> zip_of(const std::vector<ZipFile>& files, std::int64_t unix_s);
/// Errors: data_corrupted where it is no zip, names an unsafe path or holds more than `max_bytes`.
Result<std::vector<ZipFile>> files_of_zip(std::string_view bytes, std::size_t max_bytes = 100'000'000);

}  // namespace afloat::files
