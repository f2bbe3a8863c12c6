#include "adapters/http/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/text.h"

namespace afloat::http {
namespace {

struct Sink {
  int file = -1;
  std::uint64_t written = 0, most = 0;
  bool too_large = false;
  int fault = 0;  ///< errno of the disk
};

std::size_t on_bytes(char* data, std::size_t size, std::size_t count, void* user) {
  auto& sink = *static_cast<Sink*>(user);
  const auto bytes = size * count;
  if (sink.written + bytes > sink.most) {
    sink.too_large = true;
    return 0;
  }
  for (std::size_t done = 0; done < bytes;) {
    const auto put = ::write(sink.file, data + done, bytes - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      sink.fault = errno;
      return 0;
    }
    done += static_cast<std::size_t>(put);
  }
  sink.written += bytes;
  return bytes;
}

/// The server has another idea of what is there: begin anew.
bool cannot_resume(CURLcode code, long status) {
  return code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME || status == 416;
}

struct Attempt {
  CURLcode code = CURLE_OK;
  long status = 0;
  std::string why;
};

Attempt attempt(const Download& wanted, Sink& sink) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) return {CURLE_OUT_OF_MEMORY, 0, "out of memory"};
  char detail[CURL_ERROR_SIZE] = {};
  auto* curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, wanted.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,file");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(wanted.patience.count()));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &sink);
  if (!wanted.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, wanted.ca_file.c_str());
  if (sink.written > 0) curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(sink.written));
  Attempt done;
  done.code = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &done.status);
  done.why = *detail ? detail : curl_easy_strerror(done.code);
  return done;
}

Error disk_error(const std::string& file, int reason) {
  return Error(ErrorKind::internal, fmt::format("Can't write {}: {}.", file, strerror(reason)));
}

Result<void> outcome_of(const Download& wanted, const Sink& sink, const Attempt& done) {
  if (sink.too_large)
    return fail(ErrorKind::resource_exhausted,
                fmt::format("{} is larger than {}: it is not what it should be.", wanted.url, human_bytes(sink.most)));
  if (sink.fault != 0) return std::unexpected(disk_error(wanted.file, sink.fault));
  switch (done.code) {
    case CURLE_OK:
      return {};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("{} can't be fetched from: name a folder, or an https:// or file:// address.", wanted.url));
    case CURLE_FILE_COULDNT_READ_FILE:
    case CURLE_REMOTE_FILE_NOT_FOUND:
      return fail(ErrorKind::not_found, fmt::format("{} is not there.", wanted.url));
    case CURLE_HTTP_RETURNED_ERROR:
      if (done.status == 404 || done.status == 410 || done.status == 403)
        return fail(ErrorKind::not_found, fmt::format("{} is not there (HTTP {}).", wanted.url, done.status));
      return fail(ErrorKind::unavailable, fmt::format("{} answered {}. Try again.", wanted.url, done.status));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return fail(ErrorKind::failed_precondition,
                  fmt::format("{} has no certificate that is trusted here ({}). If it is your own authority's, name it "
                              "with --ca-file.",
                              wanted.url, done.why));
    default:
      return fail(
          ErrorKind::unavailable,
          fmt::format("{} could not be fetched: {}. Try again; what has come so far is used.", wanted.url, done.why));
  }
}

}  // namespace

Result<void> download(const Download& wanted) {
  const int file = ::open(wanted.file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (wanted.resume ? 0 : O_TRUNC), 0644);
  if (file < 0) return std::unexpected(disk_error(wanted.file, errno));
  Sink sink{.file = file, .most = wanted.max_bytes};
  if (const auto end = ::lseek(file, 0, SEEK_END); end > 0) sink.written = static_cast<std::uint64_t>(end);
  const bool resumed = sink.written > 0;
  auto done = attempt(wanted, sink);
  if (resumed && cannot_resume(done.code, done.status) && ::ftruncate(file, 0) == 0 &&
      ::lseek(file, 0, SEEK_SET) == 0) {
    sink.written = 0;
    done = attempt(wanted, sink);
  }
  auto outcome = outcome_of(wanted, sink, done);
  if (outcome && ::fsync(file) != 0) outcome = std::unexpected(disk_error(wanted.file, errno));
  if (::close(file) != 0 && outcome) outcome = std::unexpected(disk_error(wanted.file, errno));
  return outcome;
}

Result<std::string> address_of(const std::string& place) {
  if (place.starts_with("https://") || place.starts_with("file://")) {
    auto address = place;
    while (address.ends_with('/')) address.pop_back();
    return address;
  }
  if (place.find("://") != std::string::npos)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} can't be fetched from: name a folder, or an https:// or file:// address.", place));
  std::error_code error;
  const auto path = std::filesystem::absolute(place, error).lexically_normal().string();
  if (error || place.empty())
    return fail(ErrorKind::invalid_argument, fmt::format("\"{}\" is no folder and no address.", place));
  std::string address = "file://";
  for (const auto& part : split(path, '/'))
    if (!part.empty()) address += "/" + url_encode(part);
  return address;
}

}  // namespace afloat::http
