#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/http/message.h"
#include "base/error.h"

namespace afloat::http {

/// Bearer tokens stand in a file, one a line, and nowhere else: not in the site's configuration, on no command line,
/// in no message. Whoever asks sends the first; whoever is asked accepts each, so that one can be replaced without
/// a moment in which nothing fits. Lines that begin with # are comments.
/// Errors: not_found, permission_denied (also for a file that everybody can read), invalid_argument (none in it, or
/// one that is shorter than 32 characters or has others than letters, digits and -._~+/=). Blocking.
Result<std::vector<std::string>> read_tokens(const std::string& path);

/// Whether a request has one of the file's tokens. The file is read again when it has changed; one that can't be used
/// leaves the earlier tokens in force. Thread-safety: none. Blocking, for as long as a small local file takes.
class TokenGuard {
 public:
  /// Errors: as read_tokens(). `tell` hears of a changed file: read, or why it can't be.
  static Result<std::unique_ptr<TokenGuard>> open(std::string path, std::function<void(std::string)> tell);
  ~TokenGuard();
  /// Errors: unauthenticated, without a word about which part of it was wrong but none or one.
  Result<void> check(const Request& request);

 private:
  struct State;
  explicit TokenGuard(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace afloat::http
