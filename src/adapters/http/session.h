#pragma once
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>
#include <optional>

#include "adapters/http/progress.h"
#include "adapters/http/server_state.h"

/// One connection's requests and answers, over any stream. It takes seconds to compile for one, so each stream type
/// has its instantiation in a .cc of its own: session_plain.cc, session_tls.cc. What needs no stream is in session.cc.
namespace afloat::http {

inline constexpr auto awaiting = boost::asio::as_tuple(boost::asio::use_awaitable_t<boost::asio::any_io_executor>{});

Request request_from(const boost::beast::http::request<boost::beast::http::string_body>& message, std::string remote);
/// Bytes that are no HTTP, as opposed to a connection that broke.
bool not_http(boost::system::error_code error);
/// The answer to a request that did not arrive whole. `too_slow`: what TransferProgress said of its body.
boost::beast::http::response<boost::beast::http::string_body> refusal(int status, const ServerLimits& limits,
                                                                      const std::string& too_slow);
/// Bytes that were written to the socket and are not yet taken by the peer; 0 where that can't be told.
std::int64_t not_yet_taken(int socket);

/// Ends what takes too long without closing the connection, as the stream's own timeout would: the client
/// shall hear why. Either a total time, or a pace that a body must keep.
class ReadLimit {
 public:
  ReadLimit(boost::asio::io_context& context, PlainStream& stream)
      : timer_(context), state_(std::make_shared<State>(stream)) {}
  ReadLimit(const ReadLimit&) = delete;
  ~ReadLimit() { end(); }

  void within(std::chrono::milliseconds time);
  /// `moved` tells all bytes that have moved so far; called between begin and end only.
  void at_pace(BodyPace pace, std::function<std::int64_t()> moved);
  void end();
  bool late() const { return state_->late; }
  const std::string& too_slow() const { return state_->too_slow; }

 private:
  struct State {
    explicit State(PlainStream& stream) : stream(stream) {}
    PlainStream& stream;  ///< outlives every turn: end() is called before it goes
    std::uint64_t turn = 0;
    bool late = false;
    std::string too_slow;
    std::optional<TransferProgress> progress;
    std::function<std::int64_t()> moved;
  };
  void begin();
  static void look(boost::asio::steady_timer& timer, std::shared_ptr<State> state, std::uint64_t turn);
  boost::asio::steady_timer timer_;
  std::shared_ptr<State> state_;
};

template <class Stream>
class Session {
 public:
  Session(std::shared_ptr<ServerState> state, std::shared_ptr<Stream> stream, std::string remote)
      : state_(std::move(state)), stream_(std::move(stream)), remote_(std::move(remote)),
        limit_(state_->context, lowest()) {}

  /// Requests one after another; returns when the connection is to be closed.
  Async<void> serve();

 private:
  PlainStream& lowest() { return boost::beast::get_lowest_layer(*stream_); }
  /// Both give true when the connection may carry another request.
  Async<bool> answer(Request request, unsigned version, bool keep_alive);
  Async<bool> write_stream(Response response, unsigned version);
  Async<boost::system::error_code> read_body(
      boost::beast::http::request_parser<boost::beast::http::string_body>& parser);
  Async<void> refuse(int status);

  class ChunkWriter;
  std::shared_ptr<ServerState> state_;
  std::shared_ptr<Stream> stream_;
  std::string remote_;
  boost::beast::flat_buffer buffer_;
  ReadLimit limit_;
};

template <class Stream>
class Session<Stream>::ChunkWriter final : public StreamWriter {
 public:
  explicit ChunkWriter(Session& session) : session_(session) {}
  Task<void> write(std::string bytes) override {
    if (bytes.empty()) co_return Result<void>{};
    session_.lowest().expires_after(std::chrono::milliseconds(10'000));
    auto [error, size] = co_await boost::asio::async_write(
        *session_.stream_, boost::beast::http::make_chunk(boost::asio::buffer(bytes)), awaiting);
    if (error) co_return fail(ErrorKind::unavailable, "the client has gone");
    co_return Result<void>{};
  }
  bool closing() const override { return session_.state_->closing; }
  Task<void> sleep(std::chrono::milliseconds time) override {
    if (!closing()) co_await session_.state_->closing_event.wait_until(std::chrono::steady_clock::now() + time);
    co_return Result<void>{};
  }

 private:
  Session& session_;
};

template <class Stream>
Async<bool> Session<Stream>::write_stream(Response response, unsigned version) {
  namespace http = boost::beast::http;
  http::response<http::empty_body> message(static_cast<http::status>(response.status), version);
  for (const auto& [name, value] : response.headers.all()) message.insert(name, value);
  message.chunked(true);
  message.keep_alive(false);
  http::response_serializer<http::empty_body> serializer(message);
  lowest().expires_after(std::chrono::milliseconds(10'000));
  auto [error, size] = co_await http::async_write_header(*stream_, serializer, awaiting);
  if (error) co_return false;
  ++state_->streams;
  ChunkWriter writer(*this);
  co_await response.stream(writer);
  --state_->streams;
  lowest().expires_after(std::chrono::milliseconds(5'000));
  co_await boost::asio::async_write(*stream_, http::make_chunk_last(), awaiting);
  co_return false;
}

template <class Stream>
Async<bool> Session<Stream>::answer(Request request, unsigned version, bool keep_alive) {
  namespace http = boost::beast::http;
  const auto id = state_->next_request++;
  const bool head = request.method == "HEAD";
  {
    std::lock_guard lock(state_->names_mutex);
    state_->names.emplace(id, std::pair(request.method + " " + request.path, std::chrono::steady_clock::now()));
  }
  ++state_->in_flight;
  struct Leave {
    ServerState& state;
    std::uint64_t id;
    bool done = false;
    void now() {
      if (done) return;
      done = true;
      --state.in_flight;
      std::lock_guard lock(state.names_mutex);
      state.names.erase(id);
    }
    ~Leave() { now(); }
  } leave{*state_, id};

  Response response;
  bool failed = false;
  try {
    response = co_await state_->handler(std::move(request));
  } catch (const std::exception& failure) {
    failed = true;
    std::fprintf(stderr, "afloat: a request handler threw: %s\n", failure.what());
  }
  if (failed) response = error_response(Error(ErrorKind::internal, "An internal error has been logged."));
  if (response.drop_connection) co_return false;
  if (response.stream) {
    leave.now();
    co_return co_await write_stream(std::move(response), version);
  }
  const bool keep = keep_alive && !state_->closing && !response.close;
  http::response<http::span_body<char const>> message(static_cast<http::status>(response.status), version);
  for (const auto& [name, value] : response.headers.all()) message.insert(name, value);
  message.keep_alive(keep);
  if (!head) message.body() = http::span_body<char const>::value_type(response.body->data(), response.body->size());
  if (response.status != 304 && response.status != 204) message.content_length(response.body->size());
  // What was handed to the kernel is not yet taken by the client: a slow one empties a socket's buffer, which
  // may hold megabytes, long after the last write that we see.
  http::response_serializer<http::span_body<char const>> serializer(message);
  boost::system::error_code error;
  std::int64_t written = 0;
  limit_.at_pace(state_->limits.body_pace,
                 [&written, socket = lowest().socket().native_handle()] { return written - not_yet_taken(socket); });
  while (!error && !serializer.is_done()) {
    std::size_t size = 0;
    std::tie(error, size) = co_await http::async_write_some(*stream_, serializer, awaiting);
    written += static_cast<std::int64_t>(size);
  }
  limit_.end();
  co_return !error && keep;
}

template <class Stream>
Async<boost::system::error_code> Session<Stream>::read_body(
    boost::beast::http::request_parser<boost::beast::http::string_body>& parser) {
  boost::system::error_code error;
  std::int64_t read = 0;
  limit_.at_pace(state_->limits.body_pace, [&read] { return read; });
  while (!error && !parser.is_done()) {
    std::size_t size = 0;
    std::tie(error, size) = co_await boost::beast::http::async_read_some(*stream_, buffer_, parser, awaiting);
    read += static_cast<std::int64_t>(size);
  }
  limit_.end();
  co_return error;
}

template <class Stream>
Async<void> Session<Stream>::refuse(int status) {
  auto message = refusal(status, state_->limits, limit_.too_slow());
  lowest().expires_after(std::chrono::milliseconds(5'000));
  co_await boost::beast::http::async_write(*stream_, message, awaiting);
}

template <class Stream>
Async<void> Session<Stream>::serve() {
  namespace http = boost::beast::http;
  for (;;) {
    // Waits for the first byte apart from reading the header, so that an idle connection can be told from a slow one.
    if (buffer_.size() == 0) {
      if (state_->stopped) co_return;
      state_->idle.insert(&lowest());
      lowest().expires_after(state_->limits.idle_timeout);
      auto [error, size] = co_await stream_->async_read_some(buffer_.prepare(8192), awaiting);
      state_->idle.erase(&lowest());
      if (error || size == 0) co_return;
      buffer_.commit(size);
    }
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(state_->limits.header_bytes));
    parser.body_limit(state_->limits.body_bytes);
    limit_.within(state_->limits.header_timeout);
    auto [header_error, header_size] = co_await http::async_read_header(*stream_, buffer_, parser, awaiting);
    limit_.end();
    int refused = 0;
    if (header_error) {
      if (limit_.late()) refused = 408;
      else if (header_error == http::error::header_limit) refused = 431;
      else if (header_error == http::error::body_limit) refused = 413;
      else if (not_http(header_error)) refused = 400;
      else co_return;
    } else {
      if (boost::beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        http::response<http::empty_body> go_on(http::status::continue_, parser.get().version());
        auto [error, size] = co_await http::async_write(*stream_, go_on, awaiting);
        if (error) co_return;
      }
      boost::system::error_code body_error;
      if (!parser.is_done()) body_error = co_await read_body(parser);
      if (body_error && limit_.late()) refused = 408;
      else if (body_error == http::error::body_limit) refused = 413;
      else if (not_http(body_error)) refused = 400;
      else if (body_error) co_return;
    }
    if (refused != 0) {
      co_await refuse(refused);
      co_return;
    }
    auto message = parser.release();
    Request request = request_from(message, remote_);
    request.arrived = std::chrono::steady_clock::now();
    request.deadline = request.arrived + state_->limits.request_timeout;
    const unsigned version = message.version();
    const bool keep_alive = message.keep_alive();
    request.body = std::move(message.body());
    lowest().expires_never();
    if (!co_await answer(std::move(request), version, keep_alive)) co_return;
  }
}

}  // namespace afloat::http
