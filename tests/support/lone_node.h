#pragma once
#include <string>

#include "local/process.h"
#include "local/workplace.h"
#include "support/support.h"

namespace afloat::test {

/// One node of this tree's program without balancer or agent, started as a person would: for what goes
/// wrong at its start or around it. Stopped with the object.
class LoneNode {
 public:
  /// `database`: a connection string; the folders are made, the node is not started.
  explicit LoneNode(std::string database);

  std::string home() const { return folder_.path() + "/home"; }
  std::string folder() const { return folder_.path(); }
  std::string config() const { return folder_.path() + "/site.toml"; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }
  int port() const { return ports_.first(); }
  /// site.toml; `more` goes before [[node]], `of_node` into it.
  void write_config(const std::string& more = {}, const std::string& of_node = {});

  /// Starts `afloat serve`, behind `before` ("prlimit --nofile=64" and the like).
  void start(std::vector<std::string> before = {});
  bool wait_ready(std::chrono::milliseconds limit = std::chrono::seconds(15));
  /// Waits for its end; -1 while it still runs at the limit.
  int wait_end(std::chrono::milliseconds limit = std::chrono::seconds(15));
  local::Process& process() { return process_; }
  std::string log() const;
  HttpClient admin() const { return HttpClient(url(), "admin", password); }
  /// Another subcommand with this site's configuration.
  local::CommandOutput afloat(std::vector<std::string> args);

  static constexpr const char* password = "lone-node-password";
  std::string shared_home;    ///< "" = home()
  bool set_up = true;  ///< with an administrator made at its start; else the first run waits for one
  std::string name = "lone";  ///< another for a second node of one site; then write_config() again

 private:
  local::TempDir folder_;
  local::PortBlock ports_;
  std::string database_;
  local::Process process_;
};

}  // namespace afloat::test
