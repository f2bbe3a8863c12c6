#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

/// Release archives: tar in zstd, regular files only. Blocking; reentrant.
namespace afloat::files {

struct ArchiveFile {
  std::string path;  ///< relative, inside the archive
  std::string sha256;
  std::uint64_t size = 0;
  bool executable = false;
};
struct PackFile {
  std::string path;    ///< in the archive
  std::string source;  ///< file to read
  bool executable = false;
};
struct UnpackLimits {
  std::uint64_t max_bytes = 2'000'000'000;
  std::size_t max_files = 20'000;
};

/// True for "a/b.txt": relative, no empty, "." or ".." part, no backslash, no NUL.
bool is_safe_path(std::string_view path);

/// The same files always give the same bytes: sorted by path, time 0, owner 0.
Result<std::vector<ArchiveFile>> pack_archive(const std::string& archive, std::vector<PackFile> files);

/// Unpacks into the existing, empty folder `destination`, fsyncing each file, and hashes what it wrote.
/// Refused with data_corrupted: truncated or damaged archives, links and devices, doubled names, and paths
/// that leave the folder (nothing outside it is ever written). resource_exhausted: limits, disk full.
Result<std::vector<ArchiveFile>> unpack_archive(const std::string& archive, const std::string& destination,
                                                UnpackLimits limits = {});
/// The same checks without writing anything.
Result<std::vector<ArchiveFile>> read_archive(const std::string& archive, UnpackLimits limits = {});

/// Errors: not_found, internal.
Result<std::string> sha256_of_file(const std::string& path);
Result<std::string> read_file(const std::string& path);
/// Temporary name, fsync, rename, fsync of the folder: after a crash the file is the old one or the new one.
Result<void> write_file_durably(const std::string& path, std::string_view content);

}  // namespace afloat::files
