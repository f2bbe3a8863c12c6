#include "adapters/http/session.h"

namespace afloat::http {

namespace {

Async<void> serve_plain(std::shared_ptr<ServerState> state, std::shared_ptr<PlainStream> stream, std::string remote) {
  ++state->connections;
  {
    Session<PlainStream> session(state, stream, std::move(remote));
    co_await session.serve();
  }
  boost::system::error_code ignored;
  stream->socket().shutdown(boost::asio::socket_base::shutdown_send, ignored);
  stream->close();
  --state->connections;
}

}  // namespace

void begin_plain_session(std::shared_ptr<ServerState> state, Socket socket, std::string remote) {
  auto executor = state->context.get_executor();
  auto stream = std::make_shared<PlainStream>(std::move(socket));
  spawn(executor, "an HTTP connection", [state = std::move(state), stream, remote = std::move(remote)] {
    return serve_plain(state, stream, remote);
  });
}

}  // namespace afloat::http
