#include "server/assets.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/hash.h"
#include "server/gzip.h"

namespace afloat::server {
namespace {

constexpr std::size_t cache_limit_bytes = 8 * 1024 * 1024;

std::string_view type_of(std::string_view file) {
  const auto extension = file.substr(file.rfind('.') + 1);
  if (extension == "css") return "text/css; charset=utf-8";
  if (extension == "js") return "text/javascript; charset=utf-8";
  if (extension == "svg") return "image/svg+xml";
  if (extension == "png") return "image/png";
  if (extension == "woff2") return "font/woff2";
  if (extension == "ico") return "image/x-icon";
  return "application/octet-stream";
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(ErrorKind::not_found, fmt::format("Cannot read {}.", path));
  return text.str();
}

/// Under a temporary name first, so that no node ever serves half a file.
Result<void> write_once(const std::string& path, const std::string& bytes) {
  const std::string temporary = path + "." + random_hex(8) + ".tmp";
  const auto refuse = [&](std::string_view what) {
    const int code = errno;
    ::unlink(temporary.c_str());
    return fail(ErrorKind::unavailable, fmt::format("Cannot {} {}: {}. Is the shared home mounted and writable?", what,
                                                    temporary, std::strerror(code)));
  };
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return refuse("create");
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto count = ::write(file, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      auto refused = refuse("write");
      ::close(file);
      return refused;
    }
    done += static_cast<std::size_t>(count);
  }
  if (::fsync(file) != 0 || ::close(file) != 0) return refuse("flush");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return refuse("rename");
  return {};
}

/// <stem>.<16 hex>.<ext>, nothing else: so a request can never name another file of the shared home.
bool is_asset_name(std::string_view file) {
  const auto last = file.rfind('.');
  if (last == std::string_view::npos || last < 18 || file.size() > 120) return false;
  if (file[last - 17] != '.') return false;
  const auto hash = file.substr(last - 16, 16);
  const bool hex = std::ranges::all_of(hash, [](unsigned char c) { return std::isdigit(c) || (c >= 'a' && c <= 'f'); });
  return hex && !file.starts_with('.') &&
         std::ranges::all_of(file, [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == '_'; });
}

}  // namespace

Result<std::unique_ptr<Assets>> Assets::publish(const std::string& folder, const std::string& shared_home) {
  auto assets = std::unique_ptr<Assets>(new Assets());
  assets->folder_ = shared_home + "/assets";
  std::error_code failed;
  std::filesystem::create_directories(assets->folder_, failed);
  if (failed)
    return fail(ErrorKind::unavailable, fmt::format("Cannot create {}: {}. Is the shared home mounted and writable?",
                                                    assets->folder_, failed.message()));
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    if (!entry.is_regular_file()) continue;
    auto bytes = read_file(entry.path().string());
    if (!bytes) return std::unexpected(bytes.error());
    const std::string name = fmt::format("{}.{}{}", entry.path().stem().string(), sha256_hex(*bytes).substr(0, 16),
                                         entry.path().extension().string());
    if (!is_asset_name(name))
      return fail(ErrorKind::invalid_argument, fmt::format("{} is no name for a web asset.", entry.path().string()));
    const std::string path = assets->folder_ + "/" + name;
    if (!std::filesystem::exists(path))
      if (auto written = write_once(path, *bytes); !written) return std::unexpected(written.error());
    assets->urls_[entry.path().filename().string()] = "/assets/" + name;
  }
  if (failed) return fail(ErrorKind::not_found, fmt::format("There is no folder {}: {}.", folder, failed.message()));
  return assets;
}

std::string Assets::url(std::string_view name) const {
  const auto found = urls_.find(std::string(name));
  return found == urls_.end() ? std::string(name) : found->second;
}

http::Response Assets::serve(std::string_view file, std::string_view accept_encoding) {
  const auto missing = [&] { return http::text_response(404, fmt::format("There is no asset {}.\n", file)); };
  if (!is_asset_name(file)) return missing();
  auto cached = cache_.find(file);
  if (cached == cache_.end()) {
    // A few files of some kB, once each: reading them here is cheaper than a hop to the thread pool.
    auto bytes = read_file(folder_ + "/" + std::string(file));
    if (!bytes) return missing();
    if (cached_bytes_ + bytes->size() > cache_limit_bytes) {
      cache_.clear();
      cached_bytes_ = 0;
    }
    cached_bytes_ += bytes->size();
    cached = cache_.emplace(std::string(file), Cached{std::make_shared<const std::string>(std::move(*bytes)), {}}).first;
  }
  http::Response response;
  const auto type = type_of(file);
  const bool text = type.starts_with("text/") || type == "image/svg+xml";
  response.headers.set("Content-Type", std::string(type));
  response.headers.set("Cache-Control", "public, max-age=31536000, immutable");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.body = cached->second.plain;
  if (!text) return response;
  response.headers.set("Vary", "Accept-Encoding");
  if (!accepts_gzip(accept_encoding)) return response;
  if (!cached->second.packed) {
    cached->second.packed = std::make_shared<const std::string>(gzip(*cached->second.plain));
    cached_bytes_ += cached->second.packed->size();
  }
  response.headers.set("Content-Encoding", "gzip");
  response.body = cached->second.packed;
  return response;
}

}  // namespace afloat::server
