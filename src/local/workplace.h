#pragma once
#include <string>

#include "base/error.h"

/// Places for a local site: a folder that is removed at the end, and ports that no other test uses.
namespace afloat::local {

/// A new folder /tmp/afloat-XXXXXX, mode 0711 (PostgreSQL's user must be able to pass through it), removed
/// with all it holds by the destructor unless keep() was called. Short on purpose: socket paths have 107 bytes.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&&) = delete;
  const std::string& path() const { return path_; }
  void keep() { keep_ = true; }

 private:
  std::string path_;
  bool keep_ = false;
};

/// Fifty ports of our own on loopback, 20000 + 50 k .. + 49 (below the ephemeral range), held by a lock on
/// /tmp/afloat-ports/k for as long as the object lives.
class PortBlock {
 public:
  /// Takes a free block. Errors: resource_exhausted when all 200 are held.
  static Result<PortBlock> take();
  /// Ports that the caller chose: nothing is locked.
  static PortBlock at(int first) { return PortBlock(first, -1); }
  PortBlock(PortBlock&& other) noexcept;
  PortBlock& operator=(PortBlock&& other) noexcept;
  ~PortBlock();
  int first() const { return first_; }
  int at_offset(int offset) const { return first_ + offset; }

 private:
  PortBlock(int first, int lock) : first_(first), lock_(lock) {}
  int first_ = 0;
  int lock_ = -1;
};

/// Held by one process for as long as the object lives: the folder's file site.lock.
class FolderLock {
 public:
  FolderLock() = default;
  /// Makes the folder where it is missing. Errors: failed_precondition when somebody holds it.
  static Result<FolderLock> take(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

 private:
  explicit FolderLock(int file) : file_(file) {}
  int file_ = -1;
};

/// Makes the folder and its parents.
Result<void> make_folders(const std::string& path);
/// Writes a whole file (temporary name, rename).
Result<void> write_file(const std::string& path, const std::string& text, int mode = 0644);
Result<std::string> read_file(const std::string& path);
/// Gives the path to a user, where we are root.
Result<void> give_to(const std::string& path, const std::string& user);

}  // namespace afloat::local
