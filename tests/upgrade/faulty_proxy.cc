#include "upgrade/faulty_proxy.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

namespace afloat::test {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using asio::ip::tcp;

namespace {

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
using Request = bhttp::request<bhttp::string_body>;
using Response = bhttp::response<bhttp::string_body>;

struct Armed {
  std::string method, begins, ends;
  NodeFault fault;
};

std::string bytes_of(const Response& response) {
  std::ostringstream out;
  out << response;
  return out.str();
}

Response planted(bhttp::status status, std::string_view location = {}) {
  Response response{status, 11};
  response.set(bhttp::field::content_type, "application/json");
  if (!location.empty()) response.set(bhttp::field::location, location);
  response.body() = R"({"message":"planted"})";
  response.prepare_payload();
  return response;
}

}  // namespace

struct FaultyProxy::Impl {
  explicit Impl(int node_port) : node(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(node_port)) {}
  asio::io_context context{1};
  tcp::endpoint node;
  tcp::acceptor acceptor{context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::thread thread;
  mutable std::mutex mutex;
  std::list<Armed> armed;
  std::map<std::string, int> old;  ///< page -> version

  std::optional<NodeFault> take(const Request& request) {
    const std::string target(request.target());
    const auto path = target.substr(0, target.find('?'));
    std::lock_guard lock(mutex);
    for (auto entry = armed.begin(); entry != armed.end(); ++entry) {
      if (request.method_string() != entry->method || !path.starts_with(entry->begins) || !path.ends_with(entry->ends))
        continue;
      const auto fault = entry->fault;
      armed.erase(entry);
      return fault;
    }
    return std::nullopt;
  }

  void show_old_version(Request& request) const {
    std::lock_guard lock(mutex);
    const std::string target(request.target());
    for (const auto& [page, version] : old)
      if (target.starts_with("/rest/api/content/" + page + "?") && target.find("version=") == std::string::npos)
        request.target(target + "&version=" + std::to_string(version));
  }

  asio::awaitable<void> serve(tcp::socket client) {
    tcp::socket upstream(context);
    auto [connect_error] = co_await upstream.async_connect(node, no_throw);
    if (connect_error) co_return;
    boost::system::error_code ignored;
    client.set_option(tcp::no_delay(true), ignored);
    upstream.set_option(tcp::no_delay(true), ignored);
    beast::flat_buffer asked, answered;
    for (;;) {
      Request request;
      auto [read_error, size] = co_await bhttp::async_read(client, asked, request, no_throw);
      if (read_error) co_return;
      const auto fault = take(request);
      if (fault == NodeFault::close) co_return;
      Response response;
      if (fault == NodeFault::answer_500) {
        response = planted(bhttp::status::internal_server_error);
      } else if (fault == NodeFault::answer_404) {
        response = planted(bhttp::status::not_found);
      } else if (fault == NodeFault::redirect) {
        response = planted(bhttp::status::found, "/login");
      } else {
        show_old_version(request);
        auto [send_error, sent] = co_await bhttp::async_write(upstream, request, no_throw);
        if (send_error) co_return;
        auto [answer_error, got] = co_await bhttp::async_read(upstream, answered, response, no_throw);
        if (answer_error) co_return;
        (void)sent, (void)got;
      }
      if (fault == NodeFault::commit_then_close) co_return;
      if (fault == NodeFault::wrong_body) {
        response.body() = "<html>something else</html>";
        response.prepare_payload();
      }
      auto bytes = bytes_of(response);
      if (fault == NodeFault::truncate) bytes.resize(bytes.size() - response.body().size() / 2);
      auto [write_error, written] = co_await asio::async_write(client, asio::buffer(bytes), no_throw);
      (void)size, (void)written;
      if (write_error || fault == NodeFault::truncate || !response.keep_alive()) co_return;
    }
  }

  asio::awaitable<void> accept() {
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(no_throw);
      if (error) co_return;
      asio::co_spawn(context, serve(std::move(socket)), asio::detached);
    }
  }
};

FaultyProxy::FaultyProxy(int node_port) : impl_(std::make_unique<Impl>(node_port)) {
  asio::co_spawn(impl_->context, impl_->accept(), asio::detached);
  impl_->thread = std::thread([this] { impl_->context.run(); });
}

FaultyProxy::~FaultyProxy() {
  impl_->context.stop();
  impl_->thread.join();
}

int FaultyProxy::port() const { return impl_->acceptor.local_endpoint().port(); }

void FaultyProxy::arm(const std::string& method, const std::string& begins, const std::string& ends, NodeFault fault) {
  std::lock_guard lock(impl_->mutex);
  impl_->armed.push_back({method, begins, ends, fault});
}

std::size_t FaultyProxy::armed() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->armed.size();
}

void FaultyProxy::show_old(const std::string& page_id, int version) {
  std::lock_guard lock(impl_->mutex);
  impl_->old[page_id] = version;
}

}  // namespace afloat::test
