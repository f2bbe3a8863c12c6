#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace afloat::http {

/// One state of a file, told from the next without reading it: another file, or other bytes in the old one.
/// All zero for one that is not there.
struct FileStamp {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0, seconds = 0, nanoseconds = 0;
  bool operator==(const FileStamp&) const = default;
};

inline FileStamp stamp_of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return {};
  return {found.st_dev, found.st_ino, found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec};
}

}  // namespace afloat::http
