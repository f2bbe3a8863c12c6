#include "server/identity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
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
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
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

}  // namespace afloat::server
