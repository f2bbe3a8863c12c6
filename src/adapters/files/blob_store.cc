#include "adapters/files/blob_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "adapters/asio/runtime.h"
#include "base/hash.h"

namespace afloat::files {

namespace {

Error file_error(std::string_view doing, const std::string& path) {
  const int code = errno;
  const auto advice = code == ENOSPC || code == EDQUOT || code == EFBIG ? " The shared home's disk is full: make room, then try again."
                      : code == EMFILE || code == ENFILE ? " No file handle is left: raise the node's limit (LimitNOFILE)."
                      : code == EROFS || code == EACCES ? " The shared home is not writable: check its mount and rights."
                                                        : " Check that the shared home is mounted.";
  return {ErrorKind::unavailable, fmt::format("Could not {} {}: {}.{}", doing, path, std::strerror(code), advice)};
}

Result<void> write_whole(const std::string& path, const std::string& bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (file < 0) return std::unexpected(file_error("create", path));
  std::size_t written = 0;
  bool good = true;
  while (good && written < bytes.size()) {
    const auto count = ::write(file, bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    good = count >= 0;
    if (good) written += static_cast<std::size_t>(count);
  }
  good = good && ::fsync(file) == 0;
  if (!good) {
    auto error = file_error("write", path);
    ::close(file);
    return std::unexpected(error);
  }
  if (::close(file) != 0) return std::unexpected(file_error("close", path));
  return {};
}

Result<void> flush_folder(const std::string& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return std::unexpected(file_error("open", path));
  const bool good = ::fsync(folder) == 0;
  ::close(folder);
  if (!good) return std::unexpected(file_error("flush", path));
  return {};
}

class FileBlobStore final : public BlobStore {
 public:
  FileBlobStore(std::string home, boost::asio::thread_pool& pool) : root_(std::move(home) + "/blobs"), pool_(pool) {}

  Task<std::string> put(std::shared_ptr<const std::string> bytes) override {
    Result<std::string> outcome = fail(ErrorKind::internal, "not run");
    auto done = co_await offload(pool_, [&] { outcome = put_now(*bytes); });
    if (!done) co_return std::unexpected(done.error());
    co_return outcome;
  }

  Task<std::shared_ptr<const std::string>> get(std::string digest) override {
    if (digest.size() != 64) co_return fail(ErrorKind::invalid_argument, "not a digest: " + digest);
    // On NFS a file that another node has just made may be denied for a moment (negative caching). The waiting
    // is done here and not on the pool, whose few threads every other file needs.
    for (int attempt = 1;; ++attempt) {
      Result<std::shared_ptr<const std::string>> outcome = fail(ErrorKind::internal, "not run");
      auto done = co_await offload(pool_, [&] { outcome = get_now(digest); });
      if (!done) co_return std::unexpected(done.error());
      if (outcome || outcome.error().kind() != ErrorKind::not_found) co_return outcome;
      if (attempt == 20) break;
      boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor, std::chrono::milliseconds(100));
      co_await pause.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    if (::access(root_.c_str(), F_OK) != 0)
      co_return fail(ErrorKind::unavailable, fmt::format("The shared home has no folder {}: check that it is mounted on this node.", root_));
    co_return fail(ErrorKind::data_corrupted, fmt::format("The file {} is missing in the shared home. Restore it from a backup, or upload it again.", path_of(digest)));
  }

  Task<bool> exists(std::string digest) override {
    bool there = false;
    auto done = co_await offload(pool_, [&] { there = ::access(path_of(digest).c_str(), R_OK) == 0; });
    if (!done) co_return std::unexpected(done.error());
    co_return there;
  }

 private:
  std::string folder_of(const std::string& digest) const { return root_ + "/" + digest.substr(0, 2); }
  std::string path_of(const std::string& digest) const { return folder_of(digest) + "/" + digest; }

  Result<std::string> put_now(const std::string& bytes) const {
    const auto digest = sha256_hex(bytes);
    const auto path = path_of(digest);
    // Read, not only looked at: a damaged file must not count as stored.
    if (get_now(digest)) return digest;
    std::error_code error;
    std::filesystem::create_directories(folder_of(digest), error);
    if (error) {
      errno = error.value();
      return std::unexpected(file_error("create the folder", folder_of(digest)));
    }
    const auto temporary = fmt::format("{}.{}.tmp", path, random_hex(6));
    auto written = write_whole(temporary, bytes);
    if (!written) {
      ::unlink(temporary.c_str());
      return std::unexpected(written.error());
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      auto error = file_error("rename", temporary);
      ::unlink(temporary.c_str());
      return std::unexpected(error);
    }
    if (auto flushed = flush_folder(folder_of(digest)); !flushed) return std::unexpected(flushed.error());
    return digest;
  }

  Result<std::shared_ptr<const std::string>> get_now(const std::string& digest) const {
    const auto path = path_of(digest);
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0 && (errno == ENOENT || errno == ESTALE)) {
      // Opening its folder asks the NFS server again.
      const int folder = ::open(folder_of(digest).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (folder >= 0) ::close(folder);
      return fail(ErrorKind::not_found, path);
    }
    if (file < 0) return std::unexpected(file_error("open", path));
    std::string bytes;
    struct stat info {};
    if (::fstat(file, &info) == 0) bytes.reserve(static_cast<std::size_t>(info.st_size));
    char buffer[65536];
    ssize_t count = 0;
    while ((count = ::read(file, buffer, sizeof buffer)) > 0) bytes.append(buffer, static_cast<std::size_t>(count));
    if (count < 0) {
      auto error = file_error("read", path);
      ::close(file);
      return std::unexpected(error);
    }
    ::close(file);
    if (sha256_hex(bytes) != digest)
      return fail(ErrorKind::data_corrupted, fmt::format("The file {} in the shared home has other bytes than when it was stored. Restore it from a backup, or upload it again.", path));
    return std::make_shared<const std::string>(std::move(bytes));
  }

  std::string root_;
  boost::asio::thread_pool& pool_;
};

}  // namespace

std::unique_ptr<BlobStore> make_blob_store(std::string home, boost::asio::thread_pool& pool) {
  return std::make_unique<FileBlobStore>(std::move(home), pool);
}

}  // namespace afloat::files
