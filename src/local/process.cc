#include "local/process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <utility>

extern char** environ;

namespace afloat::local {
namespace {

using Clock = std::chrono::steady_clock;

/// glibc 2.36 declares pidfd_open without C linkage.
int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string home;
};

Result<Account> account_of(const std::string& user) {
  const passwd* entry = getpwnam(user.c_str());
  if (!entry)
    return fail(ErrorKind::not_found,
                fmt::format("there is no user '{}' on this machine; ./run setup installs it", user));
  Account account{entry->pw_uid, entry->pw_gid, {}, entry->pw_dir};
  int count = 64;
  account.groups.resize(count);
  if (getgrouplist(user.c_str(), account.gid, account.groups.data(), &count) < 0)
    count = 1, account.groups[0] = account.gid;
  account.groups.resize(count);
  return account;
}

/// What the child does between fork and exec: only calls that are safe there. Returns on failure.
struct Launch {
  std::vector<char*> argv, env;
  std::string folder;
  std::optional<Account> account;
  int output = -1;  ///< -1: inherited
  int death_signal = 0;
  int report = -1;  ///< errno goes here when exec fails

  [[noreturn]] void run() const {
    setpgid(0, 0);
    for (int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGCHLD}) ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = open("/dev/null", O_RDONLY);
    bool good = null >= 0 && dup2(null, 0) >= 0;
    if (output >= 0) good = good && dup2(output, 1) >= 0 && dup2(output, 2) >= 0;
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (account)
      good = good && setgroups(account->groups.size(), account->groups.data()) == 0 && setgid(account->gid) == 0 &&
             setuid(account->uid) == 0;
    // After setuid, which clears it.
    if (death_signal) prctl(PR_SET_PDEATHSIG, death_signal);
    good = good && chdir(folder.c_str()) == 0;
    if (good) execve(argv[0], argv.data(), env.data());
    const int reason = errno;
    [[maybe_unused]] auto written = write(report, &reason, sizeof reason);
    _exit(127);
  }
};

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : std::string();
  std::string path = getenv("PATH") ? getenv("PATH") : "";
  path += ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find(':', at), path.size());
    const auto candidate = path.substr(at, end - at) + "/" + name;
    if (end > at && access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return {};
}

Result<pid_t> launch(ProcessOptions& options, int output) {
  if (options.argv.empty()) return fail(ErrorKind::invalid_argument, "a process needs a program to run");
  const auto name = options.argv[0];
  const auto program = find_program(name);
  if (program.empty())
    return fail(ErrorKind::not_found,
                fmt::format("the program {} is not installed; ./run setup installs all that is needed", name));
  options.argv[0] = program;

  Launch child;
  if (!options.user.empty()) {
    auto account = account_of(options.user);
    if (!account) return std::unexpected(account.error());
    options.env.try_emplace("HOME", account->home);
    child.account = std::move(*account);
  }
  std::vector<std::string> env;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    const auto key = text.substr(0, text.find('='));
    if (!options.env.contains(key) && std::ranges::find(options.without, key) == options.without.end())
      env.push_back(text);
  }
  for (const auto& [key, value] : options.env) env.push_back(fmt::format("{}={}", key, value));
  for (auto& argument : options.argv) child.argv.push_back(argument.data());
  child.argv.push_back(nullptr);
  for (auto& entry : env) child.env.push_back(entry.data());
  child.env.push_back(nullptr);
  child.folder = options.folder.empty() ? "/" : options.folder;
  child.output = output;
  child.death_signal = options.signal_when_orphaned;

  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0)
    return fail(ErrorKind::internal, fmt::format("cannot start {}: {}", name, strerror(errno)));
  child.report = report[1];
  const pid_t pid = fork();
  if (pid == 0) child.run();
  const int fork_error = errno;
  close(report[1]);
  int reason = 0;
  ssize_t got = 0;
  if (pid > 0) do
      got = read(report[0], &reason, sizeof reason);
    while (got < 0 && errno == EINTR);
  close(report[0]);
  if (pid < 0) return fail(ErrorKind::internal, fmt::format("cannot start {}: {}", name, strerror(fork_error)));
  if (got > 0) {
    waitpid(pid, nullptr, 0);
    return fail(ErrorKind::internal,
                fmt::format("cannot start {} in {}{}: {}", name, child.folder,
                            options.user.empty() ? "" : " as user " + options.user, strerror(reason)));
  }
  return pid;
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

Result<Process> Process::start(ProcessOptions options) {
  int output = -1;
  if (!options.log.empty()) {
    output = open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (output < 0)
      return fail(ErrorKind::internal, fmt::format("cannot write the log {}: {}", options.log, strerror(errno)));
  }
  auto pid = launch(options, output);
  if (output >= 0) close(output);
  if (!pid) return std::unexpected(pid.error());
  Process process;
  process.pid_ = *pid;
  process.log_ = options.log;
  return process;
}

Process::Process(Process&& other) noexcept { *this = std::move(other); }

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  if (pid_) stop(grace);
  pid_ = std::exchange(other.pid_, 0);
  exit_code_ = other.exit_code_;
  log_ = std::move(other.log_);
  grace = other.grace;
  return *this;
}

Process::~Process() {
  if (pid_) stop(grace);
}

std::optional<int> Process::exit_code() {
  if (!pid_) return exit_code_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = code_of(status);
    pid_ = 0;
  }
  return exit_code_;
}

bool Process::running() {
  exit_code();
  return pid_ != 0;
}

std::optional<int> Process::wait(std::chrono::milliseconds time) {
  const auto end = Clock::now() + time;
  if (!running()) return exit_code_;
  const int handle = open_pidfd(pid_);
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) break;
    if (handle >= 0) {
      pollfd ready{handle, POLLIN, 0};
      poll(&ready, 1, static_cast<int>(left));
    } else {
      usleep(2000);
    }
    if (!running()) break;
  }
  if (handle >= 0) close(handle);
  return exit_code();
}

void Process::signal(int number) {
  if (running()) kill(pid_, number);
}

int Process::stop(std::chrono::milliseconds time, int number) {
  if (!running()) return exit_code_.value_or(0);
  const pid_t group = pid_;
  kill(pid_, number);
  if (!wait(time)) {
    kill(-group, SIGKILL);
    wait(std::chrono::seconds(5));
  }
  return exit_code_.value_or(128 + SIGKILL);
}

std::string Process::last_lines(int count) const { return log_.empty() ? "" : last_lines_of(log_, count); }

Result<CommandOutput> run_command(ProcessOptions options, std::chrono::milliseconds limit) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0)
    return fail(ErrorKind::internal, fmt::format("cannot make a pipe: {}", strerror(errno)));
  const auto name = options.argv.empty() ? std::string() : options.argv[0];
  auto pid = launch(options, pipe_ends[1]);
  close(pipe_ends[1]);
  if (!pid) {
    close(pipe_ends[0]);
    return std::unexpected(pid.error());
  }
  CommandOutput result;
  const auto end = Clock::now() + limit;
  const int handle = open_pidfd(*pid);
  bool timed_out = false, ended = false;
  int status = 0;
  // Its end is that of the process, not of the pipe: a server that it leaves behind keeps the pipe open.
  while (!ended) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) {
      timed_out = true;
      kill(-*pid, SIGKILL);
      waitpid(*pid, &status, 0);
      break;
    }
    pollfd ready[2] = {{pipe_ends[0], POLLIN, 0}, {handle, POLLIN, 0}};
    poll(ready, 2, static_cast<int>(left));
    ended = waitpid(*pid, &status, WNOHANG) == *pid;
    fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    char buffer[65536];
    ssize_t got = 0;
    while ((got = read(pipe_ends[0], buffer, sizeof buffer)) > 0)
      if (result.output.size() < 1'000'000) result.output.append(buffer, static_cast<std::size_t>(got));
    if (got == 0 && !ended) {  // it closed its output and goes on
      waitpid(*pid, &status, 0);
      ended = true;
    }
  }
  if (handle >= 0) close(handle);
  close(pipe_ends[0]);
  if (timed_out)
    return fail(ErrorKind::deadline_exceeded, fmt::format("{} did not end within {} s and was killed; it said:\n{}",
                                                          name, limit.count() / 1000.0, result.output));
  result.exit_code = code_of(status);
  return result;
}

Result<std::string> run_checked(ProcessOptions options, std::chrono::milliseconds limit) {
  std::string shown;
  for (const auto& argument : options.argv) shown += (shown.empty() ? "" : " ") + argument;
  auto result = run_command(std::move(options), limit);
  if (!result) return std::unexpected(result.error());
  if (result->exit_code != 0)
    return fail(ErrorKind::internal,
                fmt::format("`{}` ended with exit code {}:\n{}", shown, result->exit_code, result->output));
  return std::move(result->output);
}

std::string last_lines_of(const std::string& file, int count) {
  std::ifstream in(file);
  in.seekg(0, std::ios::end);
  const auto size = static_cast<std::streamoff>(in.tellg());
  in.seekg(std::max<std::streamoff>(0, size - 64 * 1024));
  std::deque<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(std::move(line));
    if (lines.size() > static_cast<std::size_t>(count)) lines.pop_front();
  }
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

std::string own_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

std::string unprivileged(const std::string& wanted) {
  if (geteuid() != 0) return {};
  return getpwnam(wanted.c_str()) ? wanted : std::string("nobody");
}

}  // namespace afloat::local
