#pragma once
#include <cstdint>
#include <string>

namespace afloat::server {

struct TrialOptions {
  std::string data;            ///< folder for database, attachments and lock; made when it is not there
  int port = 8090;             ///< on loopback
  std::string web;             ///< folder with templates/ and assets/
  std::string admin_password;  ///< of the first administrator; "" = a random one, which is printed
};

/// One node on a database of its own, to try Afloat with: no cluster, no lease, no upgrade runs. Prints address and
/// sign-in on stdout once it serves; blocks until SIGTERM or SIGINT. Exit codes as in server/node.h: 78 when a later
/// release has written the folder.
int run_trial(const TrialOptions& options);

}  // namespace afloat::server
