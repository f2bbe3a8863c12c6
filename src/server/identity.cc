#include "server/identity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::server {

NodeIdentity::NodeIdentity(NodeIdentity&& other) noexcept : file_(std::exchange(other.file_, -1)), id_(std::move(other.id_)) {}

NodeIdentity::~NodeIdentity() {
  if (file_ >= 0) ::close(file_);
}

Result<NodeIdentity> NodeIdentity::open(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const auto path = folder + "/node-id";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (file < 0)
    return fail(ErrorKind::unavailable, fmt::format("Can't open {}: {}. Check the node's data folder and its rights.", path, std::strerror(errno)));
  // A process that was killed a moment ago may still hold it while the system takes it down.
  int locked = ::flock(file, LOCK_EX | LOCK_NB);
  for (int i = 0; locked != 0 && i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    locked = ::flock(file, LOCK_EX | LOCK_NB);
  }
  if (locked != 0) {
    ::close(file);
    return fail(ErrorKind::failed_precondition,
                fmt::format("Another process already runs with the data folder {}. A node needs a folder of its own; stop that process, or correct `data` in the site's configuration.", folder));
  }
  char buffer[64] = {};
  const auto size = ::read(file, buffer, sizeof buffer - 1);
  std::string id(trim(std::string_view(buffer, size > 0 ? static_cast<std::size_t>(size) : 0)));
  if (id.size() != 8) {
    id = random_hex(4);
    if (::ftruncate(file, 0) != 0 || ::pwrite(file, id.data(), id.size(), 0) != 8 || ::fsync(file) != 0) {
      ::close(file);
      return fail(ErrorKind::unavailable, fmt::format("Can't write {}: {}.", path, std::strerror(errno)));
    }
  }
  return NodeIdentity(file, std::move(id));
}

void NodeIdentity::forget() {
  if (file_ >= 0 && ::ftruncate(file_, 0) == 0) ::fsync(file_);
}

namespace {

/// A secret of so many hex digits, shared by all nodes, made by the first that asks.
Result<std::string> shared_secret(const std::string& path, std::size_t digits) {
  const auto failed = [&path](std::string_view what) {
    return fail(ErrorKind::unavailable, fmt::format("Can't {} {}: {}. Check the shared home and its rights.", what, path,
                                                    std::strerror(errno)));
  };
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC); file >= 0) {
      char buffer[128] = {};
      const auto size = ::read(file, buffer, sizeof buffer - 1);
      ::close(file);
      std::string key(trim(std::string_view(buffer, size > 0 ? static_cast<std::size_t>(size) : 0)));
      if (key.size() == digits) return key;
      return fail(ErrorKind::data_corrupted,
                  fmt::format("{} does not hold {} hex digits. Remove it: the next node that starts makes another.",
                              path, digits));
    } else if (errno != ENOENT) {
      return failed("read");
    }
    // Made aside and linked, so that of two first nodes one wins and nobody reads half a key.
    const auto aside = path + "." + random_hex(4);
    const int file = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return failed("make");
    const auto key = random_hex(digits / 2) + "\n";
    const bool written = ::write(file, key.data(), key.size()) == static_cast<ssize_t>(key.size()) && ::fsync(file) == 0;
    const bool closed = ::close(file) == 0;
    const bool linked = written && closed && (::link(aside.c_str(), path.c_str()) == 0 || errno == EEXIST);
    if (!linked) {
      auto error = failed("make");
      ::unlink(aside.c_str());
      return error;
    }
    ::unlink(aside.c_str());
  }
  return failed("read");
}

std::string setup_code_path(const std::string& shared_home) { return shared_home + "/setup-code"; }

}  // namespace

Result<std::string> site_key(const std::string& shared_home) { return shared_secret(shared_home + "/site.key", 64); }

Result<std::string> setup_code(const std::string& shared_home) {
  return shared_secret(setup_code_path(shared_home), 16);
}

void forget_setup_code(const std::string& shared_home) { ::unlink(setup_code_path(shared_home).c_str()); }

}  // namespace afloat::server
