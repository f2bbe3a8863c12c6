#pragma once
#include <string>
#include <vector>

#include "local/process.h"

namespace afloat::local {

/// A private HAProxy in front of the nodes, run unprivileged from one folder, with its runtime API on a
/// unix socket. The settings are those under which a rolling restart failed no request.
class Haproxy {
 public:
  struct Server {
    std::string name;
    std::string address = "127.0.0.1";
    int port = 0;
  };
  struct Options {
    std::string folder;
    std::string address = "127.0.0.1";
    int port = 0;
    std::string backend = "wiki";
    std::vector<Server> servers = {};
    std::string ca_file = {};  ///< nodes serve HTTPS, with certificates that these authorities signed; "" = HTTP
  };
  /// What each server of it is started with.
  static constexpr const char* server_options = "check weight 100 inter 100ms fall 2 rise 1 slowstart 400ms";
  Haproxy() = default;
  /// Errors: failed_precondition with HAProxy's own words when it does not take the configuration.
  static Result<Haproxy> start(Options options);
  Haproxy(Haproxy&&) = default;
  Haproxy& operator=(Haproxy&&) = default;

  static std::string configuration(const Options& options, const std::string& socket);
  std::string socket() const { return options_.folder + "/admin.sock"; }
  int port() const { return options_.port; }
  /// One command on the runtime API, for people and tests; upgrades go through adapters/haproxy.
  Result<std::string> command(const std::string& text) const;
  /// Waits until `servers` of them are UP.
  Result<void> wait_up(int servers, std::chrono::milliseconds limit);
  void stop();
  /// As `systemctl reload haproxy`: a new process takes over, and the old one ends what it has begun. Nothing is
  /// refused meanwhile; what was set over the socket (drain, maint, weights) is forgotten. Errors: as start().
  Result<void> reload();
  /// As `systemctl restart haproxy`: nobody listens in between. Errors: as start().
  Result<void> restart();
  Process& process() { return process_; }

 private:
  /// Starts the program with these further arguments, and waits until it answers.
  Result<void> launch(std::vector<std::string> arguments);

  Options options_;
  Process process_;
  std::vector<Process> leaving_;  ///< replaced by reload(), still at work for clients
};

}  // namespace afloat::local
