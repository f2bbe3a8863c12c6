#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "adapters/http/message.h"
#include "base/error.h"

namespace afloat::server {

/// Web assets named by their content, so that a page of one version and a node of another fit together:
/// every node publishes its own files into the shared home when it starts, and serves all that are there,
/// whichever version they came from. Nothing is ever overwritten.
/// Thread-safety: one per io_context (its small cache has no lock); the file names never change after publish().
class Assets {
 public:
  /// Copies each file of `folder` to <shared_home>/assets/<stem>.<16 hex>.<ext> unless it is there already.
  /// Errors: not_found (no folder), unavailable (cannot write), each naming the path.
  static Result<std::unique_ptr<Assets>> publish(const std::string& folder, const std::string& shared_home);
  /// "app.css" -> "/assets/app.<16 hex>.css"; the name itself where unknown.
  std::string url(std::string_view name) const;
  const std::map<std::string, std::string>& urls() const { return urls_; }
  /// `file` is the last path segment. 404 for anything that is not a published asset. Texts are packed for whom takes
  /// gzip: they are public, so their sizes tell nothing.
  http::Response serve(std::string_view file, std::string_view accept_encoding = "");

 private:
  std::string folder_;
  std::map<std::string, std::string> urls_;
  struct Cached {
    std::shared_ptr<const std::string> plain, packed;  ///< `packed` is made for whom asks for it first
  };
  std::map<std::string, Cached, std::less<>> cache_;
  std::size_t cached_bytes_ = 0;
};

}  // namespace afloat::server
