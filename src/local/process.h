#pragma once
#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

/// Processes of a site that runs on this machine alone: for `afloat up`, the demo and tests. Everything
/// here blocks; it is never used by a node.
namespace afloat::local {

struct ProcessOptions {
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;  ///< added to this process's own
  std::vector<std::string> without;        ///< variables that it must not inherit
  std::string log;                         ///< stdout and stderr are appended to it; "" = inherited
  std::string folder = "/";                ///< working folder: one that any user can enter
  std::string user;                        ///< "" = as ourselves; otherwise setuid, which needs root
  int signal_when_orphaned = 15;           ///< sent to it when we die without stopping it; 0 = none
};

/// A child in a process group of its own, so that Ctrl-C reaches only us and we stop things in order.
/// The destructor sends SIGTERM, and SIGKILL after `grace`. Move-only.
class Process {
 public:
  Process() = default;
  /// Errors: not_found when the program is missing, internal when it cannot be started.
  static Result<Process> start(ProcessOptions options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }  ///< 0: none, or has ended and was waited for
  bool running();
  /// Exit code, or 128 + signal; nullopt while it runs.
  std::optional<int> exit_code();
  /// Waits at most `time`.
  std::optional<int> wait(std::chrono::milliseconds time);
  void signal(int number);
  /// SIGTERM (or `number`), then SIGKILL of its whole group after `grace`. Returns the exit code.
  int stop(std::chrono::milliseconds grace = std::chrono::seconds(10), int number = 15);
  /// The last lines of its log: evidence for messages.
  std::string last_lines(int count = 20) const;

  std::chrono::milliseconds grace{5000};  ///< of the destructor

 private:
  pid_t pid_ = 0;
  std::optional<int> exit_code_;
  std::string log_;
};

struct CommandOutput {
  int exit_code = 0;
  std::string output;  ///< stdout and stderr together
};
/// Runs a command to its end and collects what it says (at most 1 MB). Killed at the time limit: deadline_exceeded.
Result<CommandOutput> run_command(ProcessOptions options, std::chrono::milliseconds limit = std::chrono::seconds(60));
/// As run_command, but an exit code other than 0 is an error that shows the command and its words.
Result<std::string> run_checked(ProcessOptions options, std::chrono::milliseconds limit = std::chrono::seconds(60));

std::string last_lines_of(const std::string& file, int count);
/// Path of the running program.
std::string own_program();
/// The user that servers run as: "" where we are not root, otherwise `wanted` if there is one, else "nobody".
std::string unprivileged(const std::string& wanted);

}  // namespace afloat::local
