#include "adapters/files/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>

#include "adapters/files/archive.h"

namespace afloat::files {
namespace {

struct Free {
  void operator()(archive* a) const { archive_free(a); }
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

la_ssize_t append(archive*, void* out, const void* bytes, std::size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

}  // namespace

Result<std::string> zip_of(const std::vector<ZipFile>& files, std::int64_t unix_s) {
  std::string out;
  const std::unique_ptr<archive, Free> writer(archive_write_new());
  const auto broken = [&] {
    return fail(ErrorKind::internal, fmt::format("Can't write a zip: {}", archive_error_string(writer.get())));
  };
  // Without the last block's padding, which a zip reader would take for damage.
  archive_write_set_bytes_in_last_block(writer.get(), 1);
  if (archive_write_set_format_zip(writer.get()) != ARCHIVE_OK ||
      archive_write_open(writer.get(), &out, nullptr, append, nullptr) != ARCHIVE_OK)
    return broken();
  for (const auto& file : files) {
    if (!is_safe_path(file.path))
      return fail(ErrorKind::invalid_argument, fmt::format("'{}' is no path for an archive.", file.path));
    const std::unique_ptr<archive_entry, Free> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), file.path.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0600);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
    archive_entry_set_mtime(entry.get(), unix_s, 0);
    if (archive_write_header(writer.get(), entry.get()) != ARCHIVE_OK) return broken();
    if (archive_write_data(writer.get(), file.content.data(), file.content.size()) !=
        static_cast<la_ssize_t>(file.content.size()))
      return broken();
  }
  if (archive_write_close(writer.get()) != ARCHIVE_OK) return broken();
  return out;
}

Result<std::vector<ZipFile>> files_of_zip(std::string_view bytes, std::size_t max_bytes) {
  const auto damaged = [](std::string_view why) {
    return fail(ErrorKind::data_corrupted, fmt::format("The zip is damaged or none: {}.", why));
  };
  const std::unique_ptr<archive, Free> reader(archive_read_new());
  archive_read_support_format_zip(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    return damaged(archive_error_string(reader.get()));
  std::vector<ZipFile> files;
  std::size_t total = 0;
  std::string buffer(64 * 1024, '\0');
  for (;;) {
    archive_entry* entry = nullptr;
    const int next = archive_read_next_header(reader.get(), &entry);
    if (next == ARCHIVE_EOF) return files;
    if (next != ARCHIVE_OK) return damaged(archive_error_string(reader.get()));
    const char* name = archive_entry_pathname(entry);
    ZipFile file{name ? name : "", {}};
    if (!is_safe_path(file.path)) return damaged(fmt::format("it names the path '{}'", file.path));
    for (;;) {
      const auto got = archive_read_data(reader.get(), buffer.data(), buffer.size());
      if (got < 0) return damaged(archive_error_string(reader.get()));
      if (got == 0) break;
      total += static_cast<std::size_t>(got);
      if (total > max_bytes) return damaged("it holds too much");
      file.content.append(buffer.data(), static_cast<std::size_t>(got));
    }
    files.push_back(std::move(file));
  }
}

}  // namespace afloat::files
