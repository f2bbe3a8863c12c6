#include "faults/connections.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>

namespace afloat::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto request_every = seconds(20);
constexpr std::string_view chunks_end = "0\r\n\r\n";

/// -1 when nobody listens. A small receive buffer keeps a slow reader's bytes at the sender.
int connect_to(int port, int receive_bytes = 0) {
  const int link = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_bytes > 0) setsockopt(link, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (connect(link, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return link;
  close(link);
  return -1;
}

bool send_all(int link, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = send(link, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

struct Client {
  bool stream = false;
  int link = -1;
  std::string read;
  bool waiting = false;  ///< for an answer
  bool had_first = false, finished = false, closing = false;
  std::string last_id;
  Clock::time_point act_at{};  ///< next request, or next connection
};

}  // namespace

struct PatientClients::Impl {
  int port;
  std::string authorization, events_path;
  std::vector<Client> clients;
  mutable std::mutex mutex;
  Seen seen;
  std::atomic<bool> quit = false;
  std::thread thread;

  void wrong(const std::string& what, int Seen::*count) {
    const std::scoped_lock lock(mutex);
    ++(seen.*count);
    if (seen.first.empty()) seen.first = what;
  }
  void count(int Seen::*what) {
    const std::scoped_lock lock(mutex);
    ++(seen.*what);
  }

  void act(Client& client) {
    if (client.link < 0) client.link = connect_to(port);
    std::string head = client.stream ? "GET " + events_path + " HTTP/1.1\r\nAuthorization: " + authorization + "\r\n"
                                     : "GET /login HTTP/1.1\r\n";
    if (!client.last_id.empty()) head += "Last-Event-ID: " + client.last_id + "\r\n";
    if (client.link < 0 || !send_all(client.link, head + "Host: wiki\r\n\r\n"))
      return end(client, "a request could not be sent");
    client.waiting = true;
    client.act_at = Clock::time_point::max();
  }

  /// Its connection has ended, or an answer is wrong: it comes again at once.
  void end(Client& client, const std::string& what) {
    wrong((client.stream ? "stream: " : "keep-alive: ") + what, &Seen::cut);
    restart(client, milliseconds(200));
  }
  void restart(Client& client, milliseconds after) {
    if (client.link >= 0) close(client.link);
    client.link = -1;
    client.read.clear();
    client.waiting = client.closing = false;
    client.act_at = client.finished ? Clock::time_point::max() : Clock::now() + after;
  }

  void take(Client& client) {
    char buffer[65536];
    const auto got = recv(client.link, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      if (client.closing || client.finished) return restart(client, milliseconds(200));
      return end(client, fmt::format("closed while {}, after {} bytes", client.waiting ? "answering" : "idle",
                                     client.read.size()));
    }
    client.read.append(buffer, static_cast<std::size_t>(got));
    client.stream ? take_events(client) : take_answer(client);
  }

  void take_answer(Client& client) {
    const auto head = client.read.find("\r\n\r\n");
    if (head == std::string::npos) return;
    auto lower = client.read.substr(0, head);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto length = lower.find("content-length: ");
    const auto bytes = length == std::string::npos ? 0 : std::stoul(lower.substr(length + 16));
    if (client.read.size() < head + 4 + bytes) return;
    if (!client.read.starts_with("HTTP/1.1 200")) wrong(client.read.substr(0, 60), &Seen::wrong);
    count(&Seen::answers);
    if (!client.had_first) count(&Seen::connected);
    client.had_first = true;
    client.closing = lower.find("connection: close") != std::string::npos;
    client.waiting = false;
    client.read.clear();
    client.act_at = Clock::now() + request_every;
  }

  void take_events(Client& client) {
    if (client.read.size() > 12 && !client.read.starts_with("HTTP/1.1 200")) {
      wrong(client.read.substr(0, 60), &Seen::wrong);
      return restart(client, milliseconds(500));
    }
    if (const auto id = client.read.rfind("\nid: "); id != std::string::npos)
      if (const auto line_end = client.read.find('\n', id + 1); line_end != std::string::npos) {
        client.last_id = client.read.substr(id + 5, line_end - id - 5);
        if (!client.had_first) count(&Seen::streams);
        client.had_first = true;
      }
    if (client.read.find("event: end") != std::string::npos && !client.finished) {
      client.finished = true;
      count(&Seen::finished);
    }
    if (!client.read.ends_with(chunks_end)) return;
    if (!client.finished) {
      const bool told = client.read.find("retry: ") != std::string::npos;
      told ? count(&Seen::told_to_return) : wrong("a stream ended without a time to come back", &Seen::cut);
    }
    restart(client, milliseconds(300));
  }

  void work() {
    std::vector<pollfd> watched;
    std::vector<Client*> whose;
    while (!quit) {
      watched.clear();
      whose.clear();
      const auto now = Clock::now();
      for (auto& client : clients) {
        if (client.act_at <= now) act(client);
        if (client.link < 0) continue;
        watched.push_back({client.link, POLLIN, 0});
        whose.push_back(&client);
      }
      poll(watched.data(), watched.size(), 20);
      for (std::size_t i = 0; i < watched.size(); ++i)
        if (watched[i].revents != 0) take(*whose[i]);
    }
    for (auto& client : clients)
      if (client.link >= 0) close(client.link);
  }
};

PatientClients::PatientClients(int port, int idle, int streams, std::string authorization, std::string events_path)
    : impl_(std::make_unique<Impl>()) {
  impl_->port = port;
  impl_->authorization = std::move(authorization);
  impl_->events_path = std::move(events_path);
  impl_->clients.resize(static_cast<std::size_t>(idle + streams));
  for (std::size_t i = 0; i < impl_->clients.size(); ++i) {
    impl_->clients[i].stream = i >= static_cast<std::size_t>(idle);
    impl_->clients[i].act_at = Clock::now() + milliseconds(2 * i);  // not all at the same moment
  }
  impl_->thread = std::thread([this] { impl_->work(); });
}

PatientClients::~PatientClients() {
  impl_->quit = true;
  impl_->thread.join();
}

PatientClients::Seen PatientClients::seen() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->seen;
}

namespace {

constexpr int pieces = 250;

std::string read_to_the_end(int link) {
  std::string answer;
  char buffer[65536];
  const timeval limit{20, 0};
  setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  for (ssize_t got = 0; (got = recv(link, buffer, sizeof buffer, 0)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(got));
  return answer;
}

}  // namespace

std::string slow_upload(int port, const std::string& head, const std::string& body, milliseconds time) {
  const int link = connect_to(port);
  bool good = send_all(link, head);
  const auto begin = Clock::now();
  const auto size = body.size() / pieces + 1;
  for (int piece = 0; good && piece * size < body.size(); ++piece) {
    std::this_thread::sleep_until(begin + time * piece / pieces);
    good = send_all(link, std::string_view(body).substr(piece * size, size));
  }
  auto answer = read_to_the_end(link);
  close(link);
  return answer;
}

std::string slow_download(int port, const std::string& head, std::size_t expected, milliseconds time) {
  const int link = connect_to(port, 32 * 1024);
  std::string answer;
  bool good = send_all(link, head);
  const auto begin = Clock::now();
  std::vector<char> buffer(expected / pieces + 1);
  for (int piece = 0; good && piece < pieces; ++piece) {
    std::this_thread::sleep_until(begin + time * piece / pieces);
    const auto got = recv(link, buffer.data(), buffer.size(), MSG_WAITALL);
    good = got > 0;
    if (good) answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  answer += read_to_the_end(link);
  close(link);
  return answer;
}

}  // namespace afloat::test
