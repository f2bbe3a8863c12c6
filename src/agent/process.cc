#include "agent/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"

extern char** environ;

namespace afloat::agent {
namespace {

constexpr std::size_t output_bytes = 16 * 1024;

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> child_environment() {
  std::vector<std::string> kept;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("AFLOAT_USER=") || text.starts_with("AFLOAT_PASSWORD=") || text.starts_with("AFLOAT_WEB="))
      continue;
    kept.emplace_back(text);
  }
  return kept;
}

/// `output`: a descriptor for stdout and stderr.
Result<pid_t> spawn_with(std::vector<std::string> argv, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  auto environment = child_environment();
  const auto arguments = pointers_to(argv);
  const auto variables = pointers_to(environment);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0].c_str(), &actions, &attributes, arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return fail(ErrorKind::internal, fmt::format("Can't execute {}: {}", argv[0], std::strerror(error)));
  }
  return pid;
}

}  // namespace

std::string to_string(const ProcessId& id) { return fmt::format("{}-{}", id.pid, id.ticks); }

Result<ProcessId> identify(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  // pid (name) state ... ; the name may hold anything, so count from the last ')'. Field 22 is the start time.
  const auto close = line.rfind(')');
  if (close != std::string::npos) {
    std::istringstream rest(line.substr(close + 1));
    std::string field, state;
    rest >> state;
    for (int number = 4; number <= 21; ++number) rest >> field;
    unsigned long long ticks = 0;
    if (rest >> ticks && state != "Z" && state != "X") return ProcessId{pid, ticks};
  }
  return fail(ErrorKind::not_found, fmt::format("No process {} is running.", pid));
}

Result<int> open_process(const ProcessId& id) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0));
  if (fd < 0) return fail(ErrorKind::not_found, fmt::format("No process {} is running.", to_string(id)));
  // The order matters: with the pidfd open, the pid can't change its meaning any more.
  auto now = identify(id.pid);
  if (now && *now == id) return fd;
  ::close(fd);
  return fail(ErrorKind::not_found, fmt::format("No process {} is running.", to_string(id)));
}

Result<ProcessId> find_process(const std::vector<std::string>& argv) {
  std::string wanted;
  for (const auto& argument : argv) (wanted += argument) += '\0';
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const auto pid = parse_int(entry.path().filename().string());
    if (!pid) continue;
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (text.str() != wanted) continue;
    if (auto id = identify(static_cast<pid_t>(*pid))) return id;
  }
  return fail(ErrorKind::not_found, "No such process is running.");
}

Result<ProcessId> spawn(const std::vector<std::string>& argv, const std::string& log) {
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) return fail(ErrorKind::internal, fmt::format("Can't open the log {}: {}", log, std::strerror(errno)));
  auto pid = spawn_with(argv, output);
  ::close(output);
  if (!pid) return std::unexpected(pid.error());
  auto id = identify(*pid);
  // Over already, but not reaped: its start time does not matter any more.
  if (!id) return ProcessId{*pid, 0};
  return *id;
}

Result<Finished> run_program(const std::vector<std::string>& argv, std::chrono::milliseconds timeout) {
  std::array<int, 2> pipe_fds{};
  if (::pipe2(pipe_fds.data(), O_CLOEXEC) != 0) return fail(ErrorKind::internal, "Can't make a pipe.");
  auto pid = spawn_with(argv, pipe_fds[1]);
  ::close(pipe_fds[1]);
  if (!pid) {
    ::close(pipe_fds[0]);
    return std::unexpected(pid.error());
  }
  Finished finished;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  bool late = false;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{pipe_fds[0], POLLIN, 0};
    const int ready = left.count() > 0 ? ::poll(&waiting, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0 && !late) {
      late = true;
      break;
    }
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(pipe_fds[0], buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    finished.output.append(buffer.data(), static_cast<std::size_t>(got));
    if (finished.output.size() > 2 * output_bytes) finished.output.erase(0, finished.output.size() - output_bytes);
  }
  ::close(pipe_fds[0]);
  if (late) ::kill(-*pid, SIGKILL);  // it leads its own process group (setsid)
  int status = 0;
  while (::waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (finished.output.size() > output_bytes) finished.output.erase(0, finished.output.size() - output_bytes);
  if (late) {
    return fail(ErrorKind::deadline_exceeded,
                fmt::format("{} did not end within {} ms and was killed. Its last output: {}", join(argv, " "),
                            timeout.count(), finished.output));
  }
  finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return finished;
}

std::string tail_of(const std::string& path, std::size_t bytes) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(0, std::ios::end);
  if (!file) return {};
  const auto size = static_cast<std::size_t>(file.tellg());
  const auto start = size > bytes ? size - bytes : 0;
  file.seekg(static_cast<std::streamoff>(start));
  std::string text(size - start, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (start > 0) text.erase(0, text.find('\n') + 1);  // a cut line says nothing
  return text;
}

}  // namespace afloat::agent
