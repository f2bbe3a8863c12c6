#pragma once
#include <string>

#include "local/workplace.h"

namespace afloat::test {

/// A certificate authority in a folder of its own, made with openssl as docs/tls.md says. What can't be made throws.
class Authority {
 public:
  Authority();
  std::string ca() const { return folder_.path() + "/ca.pem"; }
  struct Pair {
    std::string certificate, key;
  };
  /// For 127.0.0.1, under this name; `days` below 0: it has expired.
  Pair issue(const std::string& name, int days = 30);
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

 private:
  void openssl(const std::string& arguments);
  local::TempDir folder_;
};

}  // namespace afloat::test
