#include "local/haproxy.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/text.h"
#include "local/workplace.h"

namespace afloat::local {
namespace {

// What people see while no node serves: an upgrade with downtime, or a fault. Programs may send again.
constexpr std::string_view maintenance_page =
    "HTTP/1.0 503 Service Unavailable\r\n"
    "Cache-Control: no-store\r\n"
    "Connection: close\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Retry-After: 10\r\n"
    "\r\n"
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"10\"><title>Back in a moment</title>"
    "<body style=\"font:1.1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:18vh auto;padding:0 "
    "1.5rem;color:#172b4d\">"
    "<h1 style=\"font-size:1.6rem\">Back in a moment</h1><p>The wiki takes no requests just now. What was saved "
    "is not lost. This page tries again by itself.</p></body></html>\n";

}  // namespace

std::string Haproxy::configuration(const Options& options, const std::string& socket) {
  // No cookie lines: sessions are in the database, any node serves anyone. `maint` between drain and ready
  // is what makes slowstart happen. noreuseport: a
  // second HAProxy on our port must fail, not share it. Only connections that were never made are tried again
  // elsewhere.
  std::string text = fmt::format(R"(# Written by afloat.
global
  nbthread 1
  maxconn 4000
  stats socket {} mode 600 level admin expose-fd listeners
  hard-stop-after 10s
  noreuseport

defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout queue 10s
  timeout check 1s
  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout tunnel 1h
  option redispatch 1
  retries 3
  retry-on conn-failure
  http-reuse safe
  errorfile 503 {}

frontend wiki_in
  bind {}:{}
  option forwardfor
  default_backend {}

backend {}
  balance roundrobin
  option httpchk
  http-check send meth GET uri /status ver HTTP/1.1 hdr Host afloat
  http-check expect status 200
  default-server {}
)",
                                 socket, options.folder + "/maintenance.http", options.address, options.port,
                                 options.backend, options.backend, server_options);
  for (const auto& server : options.servers)
    text += fmt::format("  server {} {}:{}{}\n", server.name, server.address, server.port,
                        options.ca_file.empty() ? "" : " ssl verify required ca-file " + options.ca_file);
  return text;
}

Result<Haproxy> Haproxy::start(Options options) {
  Haproxy balancer;
  balancer.options_ = options;
  const auto user = unprivileged("haproxy");
  if (auto made = make_folders(options.folder); !made) return std::unexpected(made.error());
  chmod(options.folder.c_str(), 0700);
  if (auto given = give_to(options.folder, user); !given) return std::unexpected(given.error());
  if (auto page = write_file(options.folder + "/maintenance.http", std::string(maintenance_page), 0644); !page)
    return std::unexpected(page.error());
  if (!options.ca_file.empty()) {
    // A copy: HAProxy runs as another user, who may not read where the file lies.
    auto authorities = read_file(options.ca_file);
    if (!authorities) return std::unexpected(authorities.error());
    options.ca_file = options.folder + "/nodes-ca.pem";
    if (auto done = write_file(options.ca_file, *authorities, 0644); !done) return std::unexpected(done.error());
  }
  const auto file = options.folder + "/haproxy.cfg";
  if (auto done = write_file(file, configuration(options, balancer.socket()), 0644); !done)
    return std::unexpected(done.error());
  unlink(balancer.socket().c_str());

  if (auto log = write_file(options.folder + "/haproxy.log", ""); !log) return std::unexpected(log.error());
  if (auto done = balancer.launch({}); !done) return std::unexpected(done.error());
  return balancer;
}

Result<void> Haproxy::launch(std::vector<std::string> arguments) {
  ProcessOptions run;
  run.argv = {"haproxy", "-db", "-q", "-f", options_.folder + "/haproxy.cfg"};
  run.argv.insert(run.argv.end(), arguments.begin(), arguments.end());
  run.user = unprivileged("haproxy");
  run.log = options_.folder + "/haproxy.log";
  auto process = Process::start(run);
  if (!process) return std::unexpected(process.error());
  process_ = std::move(*process);
  const auto pid = fmt::format("Pid: {}\n", process_.pid());
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < end) {
    // After a reload the old process may still answer.
    if (auto info = command("show info"); info && info->find(pid) != std::string::npos) return {};
    if (!process_.running())
      return fail(ErrorKind::failed_precondition,
                  fmt::format("HAProxy did not start on {}:{}; it said:\n{}", options_.address, options_.port,
                              process_.last_lines(10)));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fail(ErrorKind::deadline_exceeded, "HAProxy did not answer on its socket within 10 s: " + socket());
}

void Haproxy::stop() {
  process_.stop(std::chrono::seconds(2));
  leaving_.clear();
}

Result<void> Haproxy::reload() {
  // The listeners are handed over on the old one's socket, so that no connection is refused.
  auto old = fmt::format("{}", process_.pid());
  std::erase_if(leaving_, [](Process& process) { return !process.running(); });
  leaving_.push_back(std::move(process_));
  return launch({"-x", socket(), "-sf", old});
}

Result<void> Haproxy::restart() {
  stop();
  unlink(socket().c_str());
  return launch({});
}

Result<std::string> Haproxy::command(const std::string& text) const {
  const auto path = socket();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::invalid_argument, path + " is too long for a socket's path");
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int link = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{2, 0};
  setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::string answer;
  const auto line = text + "\n";
  bool good = connect(link, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
              send(link, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size());
  char buffer[16384];
  ssize_t got = 0;
  while (good && (got = recv(link, buffer, sizeof buffer, 0)) > 0) answer.append(buffer, static_cast<std::size_t>(got));
  const int reason = errno;
  close(link);
  if (!good || got < 0)
    return fail(ErrorKind::unavailable, fmt::format("HAProxy does not answer on {}: {}", path, strerror(reason)));
  return answer;
}

Result<void> Haproxy::wait_up(int servers, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  std::string seen;
  while (std::chrono::steady_clock::now() < end) {
    auto statistics = command("show stat -1 4 -1");
    int up = 0;
    if (statistics) {
      seen.clear();
      for (const auto& line : split(*statistics, '\n')) {
        const auto fields = split(line, ',');
        if (fields.size() < 18 || fields[0] != options_.backend) continue;
        seen += fmt::format("{} {}; ", fields[1], fields[17]);
        if (fields[17] == "UP") ++up;
      }
    }
    if (up >= servers) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return fail(ErrorKind::deadline_exceeded,
              fmt::format("HAProxy did not see {} nodes up within {} s: {}", servers, limit.count() / 1000.0, seen));
}

}  // namespace afloat::local
