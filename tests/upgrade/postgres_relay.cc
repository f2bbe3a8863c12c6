#include "upgrade/postgres_relay.h"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <mutex>
#include <optional>
#include <thread>

#include "local/workplace.h"

namespace afloat::test {
namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;
using asio::local::stream_protocol;

namespace {

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
constexpr const char* socket_name = "/.s.PGSQL.5432";

/// One key's value of a libpq connection string without quotes.
std::string value_of(const std::string& connection, const std::string& key) {
  const auto at = connection.find(key + "=");
  if (at == std::string::npos) return {};
  const auto begin = at + key.size() + 1;
  return connection.substr(begin, connection.find(' ', begin) - begin);
}

/// Finds where messages begin in a stream of them. Everything but a client's first message has a type byte.
class Messages {
 public:
  explicit Messages(bool startup_first) : startup_(startup_first) {}
  /// Counts messages of `type` that end within `bytes`.
  int feed(std::string_view bytes, char type) {
    int ended = 0;
    while (!bytes.empty()) {
      const std::size_t header = startup_ ? 4 : 5;
      if (head_.size() < header) {
        const auto taken = std::min(header - head_.size(), bytes.size());
        head_ += bytes.substr(0, taken);
        bytes.remove_prefix(taken);
        if (head_.size() < header) break;
        left_ = number_at(header - 4) - 4;
      }
      const auto skipped = std::min<std::size_t>(left_, bytes.size());
      left_ -= skipped;
      bytes.remove_prefix(skipped);
      if (left_ > 0) break;
      ended += !startup_ && head_[0] == type;
      startup_ = false;
      head_.clear();
    }
    return ended;
  }

 private:
  std::uint32_t number_at(std::size_t at) const {
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(head_[at + i]);
    return number;
  }
  bool startup_;
  std::string head_;
  std::size_t left_ = 0;
};

struct Link {
  explicit Link(asio::io_context& context) : client(context), server(context) {}
  Socket client, server;
  Messages asked{true}, answered{false};
  int syncs = 0;     ///< Sync messages from the client
  int answers = -1;  ///< ReadyForQuery from the server; the first one only ends the start of the session
  std::string tail;  ///< the end of what the client has sent: a marker may come in two pieces
  std::optional<Break> broken;
  bool complete = false;  ///< the batch that is broken has been read up to its Sync

  static void close(Socket& socket) {
    boost::system::error_code ignored;
    socket.close(ignored);
  }
};

}  // namespace

struct PostgresRelay::Impl {
  local::TempDir folder;
  std::string server, database, user;
  asio::io_context context{1};
  stream_protocol::acceptor acceptor{context};
  std::thread thread;
  std::mutex mutex;
  std::string marker;
  Break how = Break::before_commit;
  std::atomic<bool> broken = false;

  std::optional<Break> take(Link& link, std::string_view bytes) {
    link.tail += bytes;
    std::lock_guard lock(mutex);
    std::optional<Break> found;
    if (!marker.empty() && link.tail.find(marker) != std::string::npos) {
      found = how;
      marker.clear();
    }
    if (link.tail.size() > 200) link.tail.erase(0, link.tail.size() - 200);
    return found;
  }

  asio::awaitable<void> forward(std::shared_ptr<Link> link) {
    std::string buffer(64 * 1024, '\0');
    for (;;) {
      auto [read_error, size] = co_await link->client.async_read_some(asio::buffer(buffer), no_throw);
      if (read_error) break;
      const std::string_view bytes(buffer.data(), size);
      link->syncs += link->asked.feed(bytes, 'S');
      if (auto how = take(*link, bytes)) {
        link->broken = how;
        if (*how == Break::before_commit) {
          broken = true;
          break;
        }
      }
      if (link->broken && bytes.ends_with(std::string_view("S\0\0\0\4", 5))) link->complete = true;
      auto [write_error, written] = co_await asio::async_write(link->server, asio::buffer(bytes), no_throw);
      (void)written;
      if (write_error) break;
      if (link->complete && *link->broken != Break::after_commit) {
        broken = true;
        Link::close(link->client);
        co_return;  // and the server's side stays open
      }
    }
    Link::close(link->server);
    Link::close(link->client);
  }

  asio::awaitable<void> back(std::shared_ptr<Link> link) {
    std::string buffer(64 * 1024, '\0');
    for (;;) {
      auto [read_error, size] = co_await link->server.async_read_some(asio::buffer(buffer), no_throw);
      if (read_error) break;
      const std::string_view bytes(buffer.data(), size);
      link->answers += link->answered.feed(bytes, 'Z');
      if (link->broken) {
        if (!link->complete || link->answers < link->syncs) continue;
        broken = true;  // carried out, and the client never hears of it
        break;
      }
      auto [write_error, written] = co_await asio::async_write(link->client, asio::buffer(bytes), no_throw);
      (void)written;
      if (write_error) break;
    }
    Link::close(link->server);
    Link::close(link->client);
  }

  asio::awaitable<void> accept() {
    for (;;) {
      auto link = std::make_shared<Link>(context);
      auto [accept_error] = co_await acceptor.async_accept(link->client, no_throw);
      if (accept_error) co_return;
      auto [connect_error] = co_await link->server.async_connect(stream_protocol::endpoint(server), no_throw);
      if (connect_error) continue;  // as if the server were not there
      asio::co_spawn(context, forward(link), asio::detached);
      asio::co_spawn(context, back(link), asio::detached);
    }
  }
};

PostgresRelay::PostgresRelay(const std::string& connection) : impl_(std::make_unique<Impl>()) {
  impl_->server = value_of(connection, "host") + socket_name;
  impl_->database = value_of(connection, "dbname");
  impl_->user = value_of(connection, "user");
  const stream_protocol::endpoint here(impl_->folder.path() + socket_name);
  impl_->acceptor.open(here.protocol());
  impl_->acceptor.bind(here);
  impl_->acceptor.listen();
  asio::co_spawn(impl_->context, impl_->accept(), asio::detached);
  impl_->thread = std::thread([this] { impl_->context.run(); });
}

PostgresRelay::~PostgresRelay() {
  impl_->context.stop();
  impl_->thread.join();
}

std::string PostgresRelay::connection() const {
  return "host=" + impl_->folder.path() + " user=" + impl_->user + " dbname=" + impl_->database;
}

void PostgresRelay::break_at(const std::string& marker, Break how) {
  std::lock_guard lock(impl_->mutex);
  impl_->marker = marker;
  impl_->how = how;
  impl_->broken = false;
}

bool PostgresRelay::broken() const { return impl_->broken; }

}  // namespace afloat::test
