#include "adapters/files/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::files {
namespace {

struct Free {
  void operator()(archive* a) const { archive_free(a); }
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

/// A descriptor that closes itself; close errors matter only after fsync, which tells first.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<Error> system_failure(std::string_view what, const std::string& path, int error = errno) {
  const auto kind = error == ENOSPC || error == EDQUOT ? ErrorKind::resource_exhausted
                    : error == ENOENT                  ? ErrorKind::not_found
                                                       : ErrorKind::internal;
  return fail(kind, fmt::format("{} {}: {}", what, path, std::strerror(error)));
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return system_failure("Can't write", path);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

Result<void> sync_folder(const std::string& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return system_failure("Can't sync", folder);
  return {};
}

/// `destination` empty: read and hash only.
Result<std::vector<ArchiveFile>> walk(const std::string& path, const std::string& destination, UnpackLimits limits) {
  const auto damaged = [&path](std::string_view why) {
    return fail(ErrorKind::data_corrupted, fmt::format("The archive {} is damaged or not one of ours: {}.", path, why));
  };
  const std::unique_ptr<archive, Free> reader(archive_read_new());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), 256 * 1024) != ARCHIVE_OK) {
    if (!std::filesystem::exists(path)) return fail(ErrorKind::not_found, fmt::format("There is no archive {}.", path));
    return damaged(archive_error_string(reader.get()));
  }
  std::vector<ArchiveFile> files;
  std::set<std::string> seen, folders;
  std::uint64_t total = 0;
  std::string buffer(256 * 1024, '\0');
  for (;;) {
    archive_entry* entry = nullptr;
    const int next = archive_read_next_header(reader.get(), &entry);
    if (next == ARCHIVE_EOF) break;
    if (next != ARCHIVE_OK) return damaged(archive_error_string(reader.get()));
    const char* name = archive_entry_pathname(entry);
    ArchiveFile file;
    file.path = name ? name : "";
    if (!is_safe_path(file.path)) return damaged(fmt::format("it names a path outside its folder: '{}'", file.path));
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) {
      return damaged(fmt::format("'{}' is not a regular file", file.path));
    }
    if (!seen.insert(file.path).second) return damaged(fmt::format("'{}' is in it twice", file.path));
    if (seen.size() > limits.max_files) return fail(ErrorKind::resource_exhausted, "The archive has too many files.");
    file.executable = (archive_entry_perm(entry) & 0111) != 0;

    const std::filesystem::path target = std::filesystem::path(destination) / file.path;
    int fd = -1;
    if (!destination.empty()) {
      std::error_code error;
      std::filesystem::create_directories(target.parent_path(), error);
      if (error) return system_failure("Can't make the folder", target.parent_path().string(), error.value());
      for (auto folder = target.parent_path(); folder != destination && folders.insert(folder.string()).second;) {
        folder = folder.parent_path();
      }
      fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file.executable ? 0755 : 0644);
      if (fd < 0) return system_failure("Can't create", target.string());
    }
    const Descriptor out(fd);
    Sha256 hash;
    for (;;) {
      const la_ssize_t got = archive_read_data(reader.get(), buffer.data(), buffer.size());
      if (got < 0) return damaged(archive_error_string(reader.get()));
      if (got == 0) break;
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
      total += bytes.size();
      file.size += bytes.size();
      if (total > limits.max_bytes) {
        return fail(ErrorKind::resource_exhausted,
                    fmt::format("The archive {} unpacks to more than {}.", path, human_bytes(limits.max_bytes)));
      }
      hash.update(bytes);
      if (fd >= 0) {
        if (auto written = write_all(fd, bytes, target.string()); !written) return std::unexpected(written.error());
      }
    }
    if (fd >= 0 && ::fsync(fd) != 0) return system_failure("Can't sync", target.string());
    file.sha256 = hash.hex();
    files.push_back(std::move(file));
  }
  for (const auto& folder : folders) {
    if (auto synced = sync_folder(folder); !synced) return std::unexpected(synced.error());
  }
  if (!destination.empty()) {
    if (auto synced = sync_folder(destination); !synced) return std::unexpected(synced.error());
  }
  return files;
}

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 4000 || path.find('\\') != path.npos || path.find('\0') != path.npos) return false;
  for (const auto& part : split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

Result<std::vector<ArchiveFile>> pack_archive(const std::string& path, std::vector<PackFile> files) {
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  const std::string temporary = path + ".tmp";
  const std::unique_ptr<archive, Free> writer(archive_write_new());
  const auto broken = [&] {
    return fail(ErrorKind::internal,
                fmt::format("Can't write the archive {}: {}", path, archive_error_string(writer.get())));
  };
  if (archive_write_set_format_pax_restricted(writer.get()) != ARCHIVE_OK ||
      archive_write_add_filter_zstd(writer.get()) != ARCHIVE_OK ||
      archive_write_set_options(writer.get(), "zstd:compression-level=6") != ARCHIVE_OK ||
      archive_write_open_filename(writer.get(), temporary.c_str()) != ARCHIVE_OK) {
    return broken();
  }
  std::vector<ArchiveFile> packed;
  for (const auto& file : files) {
    if (!is_safe_path(file.path)) {
      return fail(ErrorKind::invalid_argument, fmt::format("'{}' is no path for an archive.", file.path));
    }
    auto content = read_file(file.source);
    if (!content) return std::unexpected(content.error());
    const std::unique_ptr<archive_entry, Free> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), file.path.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), file.executable ? 0755 : 0644);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content->size()));
    archive_entry_set_mtime(entry.get(), 0, 0);
    archive_entry_set_uid(entry.get(), 0);
    archive_entry_set_gid(entry.get(), 0);
    if (archive_write_header(writer.get(), entry.get()) != ARCHIVE_OK) return broken();
    if (archive_write_data(writer.get(), content->data(), content->size()) !=
        static_cast<la_ssize_t>(content->size())) {
      return broken();
    }
    packed.push_back({file.path, sha256_hex(*content), content->size(), file.executable});
  }
  if (archive_write_close(writer.get()) != ARCHIVE_OK) return broken();
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_failure("Can't rename", temporary);
  return packed;
}

Result<std::vector<ArchiveFile>> unpack_archive(const std::string& archive, const std::string& destination,
                                                UnpackLimits limits) {
  return walk(archive, destination, limits);
}

Result<std::vector<ArchiveFile>> read_archive(const std::string& archive, UnpackLimits limits) {
  return walk(archive, "", limits);
}

Result<std::string> sha256_of_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return system_failure("Can't open", path);
  Sha256 hash;
  std::string buffer(256 * 1024, '\0');
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("Can't read", path);
    if (got == 0) return hash.hex();
    hash.update(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  }
}

Result<std::string> read_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return system_failure("Can't open", path);
  std::string content;
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("Can't read", path);
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

Result<void> write_file_durably(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  {
    const Descriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd.get() < 0) return system_failure("Can't create", temporary);
    if (auto written = write_all(fd.get(), content, temporary); !written) return written;
    if (::fsync(fd.get()) != 0) return system_failure("Can't sync", temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_failure("Can't rename", temporary);
  return sync_folder(std::filesystem::path(path).parent_path().string());
}

}  // namespace afloat::files
