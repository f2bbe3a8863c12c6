#include "local/workplace.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace afloat::local {
namespace fs = std::filesystem;

TempDir::TempDir() {
  std::string name = "/tmp/afloat-XXXXXX";
  if (!mkdtemp(name.data())) throw std::runtime_error(fmt::format("cannot make a folder in /tmp: {}", strerror(errno)));
  chmod(name.c_str(), 0711);
  path_ = name;
}
TempDir::TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})), keep_(other.keep_) {}
TempDir::~TempDir() {
  std::error_code ignored;
  if (!path_.empty() && !keep_) fs::remove_all(path_, ignored);
}

Result<PortBlock> PortBlock::take() {
  const char* folder = "/tmp/afloat-ports";
  mkdir(folder, 0777);
  chmod(folder, 0777);  // other users of this machine test too
  for (int k = 0; k < 200; ++k) {
    const auto file = fmt::format("{}/{}", folder, k);
    const int lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0) continue;
    fchmod(lock, 0666);
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) return PortBlock(20'000 + 50 * k, lock);
    close(lock);
  }
  return fail(ErrorKind::resource_exhausted,
              "all 200 port blocks (20000 to 29999) are taken: see who holds the files in /tmp/afloat-ports");
}
PortBlock::PortBlock(PortBlock&& other) noexcept : first_(other.first_), lock_(std::exchange(other.lock_, -1)) {}
PortBlock& PortBlock::operator=(PortBlock&& other) noexcept {
  std::swap(first_, other.first_);
  std::swap(lock_, other.lock_);
  return *this;
}
PortBlock::~PortBlock() {
  if (lock_ >= 0) close(lock_);
}

Result<FolderLock> FolderLock::take(const std::string& folder) {
  if (auto made = make_folders(folder); !made) return std::unexpected(made.error());
  const auto path = folder + "/site.lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return fail(ErrorKind::internal, fmt::format("cannot write {}: {}", path, strerror(errno)));
  if (flock(file, LOCK_EX | LOCK_NB) == 0) return FolderLock(file);
  close(file);
  return fail(
      ErrorKind::failed_precondition,
      fmt::format("A site already runs in {}: stop that one first, or choose another folder. Nothing was changed.",
                  folder));
}
FolderLock::FolderLock(FolderLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}
FolderLock::~FolderLock() {
  if (file_ >= 0) close(file_);
}

Result<void> make_folders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail(ErrorKind::internal, fmt::format("cannot make the folder {}: {}", path, error.message()));
  return {};
}

Result<void> write_file(const std::string& path, const std::string& text, int mode) {
  const auto temporary = path + ".new";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) return fail(ErrorKind::internal, fmt::format("cannot write {}: {}", temporary, strerror(errno)));
  }
  chmod(temporary.c_str(), static_cast<mode_t>(mode));
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return fail(ErrorKind::internal, fmt::format("cannot write {}: {}", path, strerror(errno)));
  return {};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorKind::not_found, fmt::format("cannot read {}: {}", path, strerror(errno)));
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

Result<void> give_to(const std::string& path, const std::string& user) {
  if (user.empty() || geteuid() != 0) return {};
  const passwd* entry = getpwnam(user.c_str());
  if (!entry) return fail(ErrorKind::not_found, fmt::format("there is no user '{}' on this machine", user));
  if (chown(path.c_str(), entry->pw_uid, entry->pw_gid) != 0)
    return fail(ErrorKind::internal, fmt::format("cannot give {} to user {}: {}", path, user, strerror(errno)));
  return {};
}

}  // namespace afloat::local
