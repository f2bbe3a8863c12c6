#pragma once
#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"

/// Linux processes: spawned in sessions of their own, known by pid and start time, watched by pidfd.
namespace afloat::agent {

/// "<pid>-<start time in clock ticks>": never the same twice on a host between reboots.
struct ProcessId {
  pid_t pid = 0;
  unsigned long long ticks = 0;
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};
std::string to_string(const ProcessId& id);

/// The start time of a live process; not_found when there is none, zombies included.
Result<ProcessId> identify(pid_t pid);
/// A pidfd of exactly this process, or not_found. The caller closes it.
Result<int> open_process(const ProcessId& id);
/// A live process started with exactly these arguments, or not_found.
Result<ProcessId> find_process(const std::vector<std::string>& argv);

/// Starts a program with setsid, no inherited descriptors, default signals; stdin is /dev/null, stdout and
/// stderr are appended to `log`. The environment is inherited, without AFLOAT_USER, AFLOAT_PASSWORD (the
/// conductor's) and AFLOAT_WEB (a node takes the web files of its own release).
Result<ProcessId> spawn(const std::vector<std::string>& argv, const std::string& log);

struct Finished {
  int exit_code = 0;   ///< 128 + signal when killed
  std::string output;  ///< the last 16 KiB of stdout and stderr
};
/// Runs a program to its end, killed with its children at the timeout (deadline_exceeded). Blocks.
Result<Finished> run_program(const std::vector<std::string>& argv, std::chrono::milliseconds timeout);

/// The last lines of a file, at most `bytes`; "" when there is none.
std::string tail_of(const std::string& path, std::size_t bytes);

}  // namespace afloat::agent
