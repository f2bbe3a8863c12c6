#pragma once
#include <memory>
#include <string>

#include "ports/task.h"

namespace afloat {

/// Files by content hash in the shared home. File calls block, so the adapter
/// runs them on a small bounded thread pool. Thread-safe; completes on the caller's executor.
struct BlobStore {
  virtual ~BlobStore() = default;
  /// Stores the bytes (temporary name, fsync, rename, fsync of the folder); returns the SHA-256 in hex.
  /// Storing what is already there is not an error, and mends it where its bytes had been damaged.
  /// Errors: unavailable (disk full, read-only, not mounted); nothing is left behind then.
  virtual Task<std::string> put(std::shared_ptr<const std::string> bytes) = 0;
  /// Whole content, digest checked before anything is handed out. Errors: data_corrupted (other bytes, or missing
  /// for two seconds though the home is there), unavailable (home gone, not readable now).
  virtual Task<std::shared_ptr<const std::string>> get(std::string digest) = 0;
  virtual Task<bool> exists(std::string digest) = 0;
};

}  // namespace afloat
