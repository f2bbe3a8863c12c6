#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "base/error.h"

namespace afloat::http {

struct Download {
  std::string url;      ///< https:// or file://
  std::string file;     ///< where to; with `resume` what is there already is the beginning
  std::string ca_file;  ///< PEM; "" for the system's authorities
  std::uint64_t max_bytes = 0;
  bool resume = false;
  std::chrono::seconds patience{30};  ///< for how long nearly nothing may come
};

/// A file by libcurl, flushed to disk. Redirects to other https addresses are followed, and the proxies of the
/// environment are used: what is got so is not trusted until its signature is verified. Blocking; reentrant. Errors:
/// not_found, unavailable (what has come so far stays in `file`), resource_exhausted (above `max_bytes`),
/// invalid_argument (neither https nor file), internal (the disk).
Result<void> download(const Download& wanted);

/// The address of a folder or file: an https:// or file:// address as it is, a path as file://. Errors:
/// invalid_argument.
Result<std::string> address_of(const std::string& place);

}  // namespace afloat::http
