#include "adapters/haproxy/runtime_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <vector>

#include "base/text.h"

namespace afloat::haproxy {
namespace {

namespace asio = boost::asio;
constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t max_answer_bytes = 4 * 1024 * 1024;

/// Bits of srv_admin_state (HAProxy, server-t.h): forced maintenance and forced drain, by the runtime API.
constexpr std::int64_t forced_maint = 0x01;
constexpr std::int64_t forced_drain = 0x08;

std::string_view to_string(Traffic traffic) {
  switch (traffic) {
    case Traffic::ready:
      return "ready";
    case Traffic::drain:
      return "drain";
    case Traffic::maint:
      return "maint";
  }
  return "?";
}

/// Columns by the names in the header line, which starts with "# ".
class Table {
 public:
  Table(std::string_view text, char separator, std::string_view what) : what_(what) {
    for (const auto& line : split(text, '\n')) {
      if (line.starts_with("# ")) {
        header_ = split(std::string_view(line).substr(2), separator);
      } else if (!header_.empty() && !trim(line).empty()) {
        rows_.push_back(split(line, separator));
      }
    }
  }
  const std::vector<std::vector<std::string>>& rows() const { return rows_; }
  Result<std::string> cell(const std::vector<std::string>& row, std::string_view column) const {
    const auto at = std::find(header_.begin(), header_.end(), column);
    const auto index = static_cast<std::size_t>(at - header_.begin());
    if (at == header_.end() || index >= row.size()) {
      return fail(
          ErrorKind::data_corrupted,
          fmt::format("HAProxy's answer to '{}' has no column '{}': this HAProxy is not supported (2.4 or newer is).",
                      what_, column));
    }
    return row[index];
  }

 private:
  std::string_view what_;
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

Error no_such_server(std::string_view node, const std::vector<std::string>& names) {
  return Error(
      ErrorKind::not_found,
      fmt::format("HAProxy has no server '{}' in this backend; it has: {}. Check haproxy.cfg and the site's config.",
                  node, names.empty() ? "none" : join(names, ", ")));
}

class RuntimeApi final : public LoadBalancer {
 public:
  RuntimeApi(std::string socket, std::string backend, std::string added_server)
      : socket_(std::move(socket)), backend_(std::move(backend)), added_server_(std::move(added_server)) {}

  Task<void> add(std::string node, std::string address, int port, Deadline deadline) override {
    auto answer =
        co_await ask(fmt::format("add server {}/{} {}:{} {}", backend_, node, address, port, added_server_), deadline);
    if (!answer) co_return std::unexpected(answer.error());
    const auto said = std::string(trim(*answer));
    if (!said.starts_with("New server registered") && !said.starts_with("Already exists")) {
      co_return fail(ErrorKind::failed_precondition,
                     fmt::format("HAProxy refused to add the server {}/{}: {}. Its backend needs a dynamic algorithm "
                                 "(roundrobin, leastconn), and what the conductor's --surge-server says must be server "
                                 "options that `add server` of this HAProxy knows (2.5 or newer).",
                                 backend_, node, said));
    }
    // Its health checks are off until they are asked for.
    auto checked = co_await ask(fmt::format("enable health {}/{}", backend_, node), deadline);
    if (!checked) co_return std::unexpected(checked.error());
    if (!trim(*checked).empty())
      co_return fail(ErrorKind::failed_precondition,
                     fmt::format("HAProxy refused to check the server {}/{}: {}", backend_, node, trim(*checked)));
    co_return Result<void>{};
  }

  Task<void> remove(std::string node, Deadline deadline) override {
    auto answer = co_await ask(fmt::format("del server {}/{}", backend_, node), deadline);
    if (!answer) co_return std::unexpected(answer.error());
    const auto said = std::string(trim(*answer));
    if (said.starts_with("Server deleted") || said.starts_with("No such server")) co_return Result<void>{};
    co_return fail(ErrorKind::unavailable, fmt::format("HAProxy does not let go of {}/{}: {}", backend_, node, said));
  }

  Task<void> set(std::string node, Traffic traffic, Deadline deadline) override {
    auto answer = co_await ask(fmt::format("set server {}/{} state {}", backend_, node, to_string(traffic)), deadline);
    if (!answer) co_return std::unexpected(answer.error());
    if (!trim(*answer).empty()) {
      co_return fail(
          answer->starts_with("No such") ? ErrorKind::not_found : ErrorKind::internal,
          fmt::format("HAProxy refused to set {}/{} to {}: {}", backend_, node, to_string(traffic), trim(*answer)));
    }
    auto state = co_await ask("show servers state " + backend_, deadline);
    if (!state) co_return std::unexpected(state.error());
    auto now = parse_traffic(*state, node);
    if (!now) co_return std::unexpected(now.error());
    if (*now != traffic) {
      co_return fail(
          ErrorKind::unavailable,
          fmt::format("HAProxy was told to set {}/{} to {} but has it at {}: someone else set it, or HAProxy "
                      "was reloaded meanwhile.",
                      backend_, node, to_string(traffic), to_string(*now)));
    }
    co_return Result<void>{};
  }

  Task<BackendView> view(std::string node, Deadline deadline) override {
    auto answer = co_await ask("show stat " + backend_ + " 4 -1", deadline);
    if (!answer) co_return std::unexpected(answer.error());
    if (!answer->starts_with("# ")) {
      co_return fail(ErrorKind::internal,
                     fmt::format("HAProxy did not show backend '{}': {}", backend_, trim(*answer)));
    }
    co_return parse_view(*answer, backend_, node);
  }

 private:
  /// One command on one connection: HAProxy answers and closes.
  Task<std::string> ask(std::string command, Deadline deadline) {
    // Names come from a config file, but a ';' or line end in one would be a second command.
    if (command.find_first_of(";\n\\") != std::string::npos) {
      co_return fail(ErrorKind::invalid_argument, fmt::format("'{}' can't be sent to HAProxy.", command));
    }
    const auto executor = co_await asio::this_coro::executor;
    auto socket = std::make_shared<asio::local::stream_protocol::socket>(executor);
    asio::steady_timer timer(executor, deadline);
    // Boost 1.81 has no cancel_after. Closing the socket ends whatever waits on it.
    timer.async_wait([socket](boost::system::error_code error) {
      boost::system::error_code ignored;
      if (!error) socket->close(ignored);
    });
    auto [connect_error] = co_await socket->async_connect(asio::local::stream_protocol::endpoint(socket_), no_throw);
    if (connect_error) {
      co_return fail(ErrorKind::unavailable, fmt::format("HAProxy's runtime socket {} can't be reached: {}. Is HAProxy "
                                                         "running, with 'stats socket ... level admin'?",
                                                         socket_, connect_error.message()));
    }
    const std::string line = command + "\n";
    auto [write_error, written] = co_await asio::async_write(*socket, asio::buffer(line), no_throw);
    (void)written;
    std::string answer;
    boost::system::error_code read_error = write_error;
    if (!write_error) {
      auto [error, size] = co_await asio::async_read(*socket, asio::dynamic_buffer(answer, max_answer_bytes), no_throw);
      (void)size;
      read_error = error;
    }
    timer.cancel();
    if (read_error != asio::error::eof) {
      co_return fail(ErrorKind::deadline_exceeded,
                     fmt::format("HAProxy did not answer '{}' in time or in full: {}. It may have been carried out.",
                                 command, read_error ? read_error.message() : "answer too large"));
    }
    co_return answer;
  }

  const std::string socket_;
  const std::string backend_;
  const std::string added_server_;
};

}  // namespace

Result<BackendView> parse_view(std::string_view stat, std::string_view backend, std::string_view node) {
  const Table table(stat, ',', "show stat");
  std::vector<std::string> names;
  for (const auto& row : table.rows()) {
    auto proxy = table.cell(row, "pxname");
    auto server = table.cell(row, "svname");
    if (!proxy) return std::unexpected(proxy.error());
    if (!server) return std::unexpected(server.error());
    if (*proxy != backend || *server == "BACKEND" || *server == "FRONTEND") continue;
    names.push_back(*server);
    if (*server != node) continue;
    BackendView view;
    auto status = table.cell(row, "status");
    if (!status) return std::unexpected(status.error());
    view.status = *status;
    for (auto [column, value] :
         {std::pair{"scur", &view.sessions}, {"weight", &view.weight}, {"uweight", &view.full_weight}}) {
      auto text = table.cell(row, column);
      if (!text) return std::unexpected(text.error());
      *value = static_cast<int>(parse_int(*text).value_or(0));
    }
    // "* L7OK" while the next one is under way; empty where nothing is checked.
    auto check = table.cell(row, "check_status").value_or("");
    if (check.starts_with("* ")) check.erase(0, 2);
    if (const auto code = table.cell(row, "check_code").value_or(""); !code.empty()) check += " " + code;
    view.check = std::move(check);
    return view;
  }
  return std::unexpected(no_such_server(node, names));
}

Result<Traffic> parse_traffic(std::string_view servers, std::string_view node) {
  const Table table(servers, ' ', "show servers state");
  std::vector<std::string> names;
  for (const auto& row : table.rows()) {
    auto name = table.cell(row, "srv_name");
    if (!name) return std::unexpected(name.error());
    names.push_back(*name);
    if (*name != node) continue;
    auto text = table.cell(row, "srv_admin_state");
    if (!text) return std::unexpected(text.error());
    const std::int64_t admin = parse_int(*text).value_or(0);
    if (admin & forced_maint) return Traffic::maint;
    if (admin & forced_drain) return Traffic::drain;
    return Traffic::ready;
  }
  return std::unexpected(no_such_server(node, names));
}

std::unique_ptr<LoadBalancer> make_haproxy(std::string socket, std::string backend, std::string added_server) {
  return std::make_unique<RuntimeApi>(std::move(socket), std::move(backend), std::move(added_server));
}

}  // namespace afloat::haproxy
