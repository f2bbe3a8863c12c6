#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace boost::asio::ssl {
class context;
}

namespace afloat::http {

/// Paths of PEM files: the certificate with those between it and its authority behind it, and its key without a passphrase.
struct TlsFiles {
  std::string certificate;
  std::string key;
};

/// With what a listener proves who it is. Loaded at start and again when the files change: connections that are
/// open go on with what they began with, new ones get the new. A file that can't be used changes nothing.
/// Thread-safety: all methods, from any thread. Blocking: all but context().
class TlsIdentity {
 public:
  /// Errors: not_found, permission_denied, invalid_argument (no PEM, passphrase, pair that does not belong
  /// together); each names the file and says what to do.
  static Result<std::shared_ptr<TlsIdentity>> load(TlsFiles files);

  /// What one look at the files brought.
  struct Look {
    bool replaced = false;  ///< loaded: new connections get it
    std::string problem;    ///< why the files can't be used; "" = nothing to say
  };
  /// Loads the files when they are not those of the last look, or in any case.
  Look look_again(bool in_any_case);

  /// For people: expired, not yet valid, ends within two weeks, key readable by everybody. None is an error:
  /// the certificate is served, and a client may refuse it.
  std::vector<std::string> warnings(std::int64_t unix_ms) const;
  /// When the certificate ends, Unix time.
  std::int64_t end_ms() const;
  /// "CN=node1, until 2027-01-01T00:00:00.000Z, from /etc/afloat/node1.pem"
  std::string description() const;
  std::shared_ptr<boost::asio::ssl::context> context() const;

 private:
  struct State;
  explicit TlsIdentity(TlsFiles files);
  std::shared_ptr<State> state_;
};

}  // namespace afloat::http
