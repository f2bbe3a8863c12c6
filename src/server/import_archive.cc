#include <archive.h>
#include <archive_entry.h>
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "server/import.h"

namespace afloat::server {

Result<UnpackedImport> unpack_import(const std::string& bytes, wiki::ImportLimits limits, std::size_t total_bytes) {
  constexpr std::size_t most_files = 100'000;
  std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(), archive_read_free);
  archive_read_support_format_tar(reader.get());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_filter_gzip(reader.get());
  const auto broken = [&](std::string_view what) {
    const char* text = archive_error_string(reader.get());
    return fail(ErrorKind::invalid_argument,
                fmt::format("The archive {}: {}. Send a tar file packed with zstd, as `afloat import html` does.", what,
                            text ? text : "unknown fault"));
  };
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    return broken("cannot be opened");
  UnpackedImport out;
  std::size_t total = 0, entries = 0;
  archive_entry* entry = nullptr;
  for (;;) {
    const int code = archive_read_next_header(reader.get(), &entry);
    if (code == ARCHIVE_EOF) break;
    if (code < ARCHIVE_WARN) return broken("is damaged");
    if (++entries > most_files)
      return fail(ErrorKind::resource_exhausted,
                  fmt::format("The archive has more than {} files. Import it in parts.", most_files));
    const char* raw = archive_entry_pathname(entry);
    const std::string name = raw ? raw : "";
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) continue;
    if (type != AE_IFREG || archive_entry_hardlink(entry)) {
      out.notes.push_back({name, "is a link or a device; it was left out"});
      continue;
    }
    auto path = wiki::safe_relative_path(name);
    if (!path) {
      out.notes.push_back({name, path.error().message()});
      continue;
    }
    const auto size = static_cast<std::size_t>(std::max<la_int64_t>(0, archive_entry_size(entry)));
    if (size > limits.file_bytes) {
      out.notes.push_back({*path, fmt::format("has {}, the limit is {}; the file was left out", human_bytes(size),
                                              human_bytes(limits.file_bytes))});
      continue;
    }
    std::string content;
    char buffer[65'536];
    for (;;) {
      const auto count = archive_read_data(reader.get(), buffer, sizeof buffer);
      if (count < 0) return broken(fmt::format("is damaged at {}", *path));
      if (count == 0) break;
      content.append(buffer, static_cast<std::size_t>(count));
      // Counted while unpacking: the size that a header claims proves nothing.
      if (content.size() > limits.file_bytes || total + content.size() > total_bytes)
        return fail(ErrorKind::resource_exhausted,
                    fmt::format("The archive unpacks to more than {}. Import it in parts.", human_bytes(total_bytes)));
    }
    total += content.size();
    if (!out.files.emplace(*path, std::move(content)).second)
      out.notes.push_back({*path, "is in the archive twice; the first one was taken"});
  }
  return out;
}

}  // namespace afloat::server
