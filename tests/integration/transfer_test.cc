#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "adapters/http/server.h"
#include "support/support.h"

// How long a body may take: as long as it needs while it gets ahead, and no longer once it does not.
namespace afloat::test {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds patience{400};
constexpr std::size_t big_answer = 24 * 1024 * 1024;

/// A server that gives back how much it got, and a big answer to GET.
class Echo {
 public:
  Echo() : ports_(local::PortBlock::take().value()) {
    http::ServerLimits limits;
    limits.body_pace = {patience, 1'000};
    limits.body_bytes = 8 * 1024 * 1024;
    server_ = std::make_unique<http::Server>(io_, limits, [](http::Request request) { return answer(std::move(request)); });
    EXPECT_TRUE(server_->listen_tcp("127.0.0.1", ports_.first()));
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Echo() {
    asio::post(io_, [this] { server_->stop_accepting(); });
    io_.stop();
    thread_.join();
    server_.reset();
  }
  asio::ip::tcp::endpoint endpoint() const {
    return {asio::ip::make_address("127.0.0.1"), static_cast<unsigned short>(ports_.first())};
  }

 private:
  static Async<http::Response> answer(http::Request request) {
    if (request.method == "GET") co_return http::text_response(200, std::string(big_answer, 'x'));
    co_return http::text_response(200, std::to_string(request.body.size()));
  }
  local::PortBlock ports_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

/// Blocking, with its own pace.
struct Client {
  asio::io_context io;
  asio::ip::tcp::socket socket{io};
  explicit Client(const Echo& echo) { socket.connect(echo.endpoint()); }
  bool send(const std::string& text) {
    boost::system::error_code error;
    asio::write(socket, asio::buffer(text), error);
    return !error;
  }
  std::string receive() {
    std::string buffer(8192, '\0');
    boost::system::error_code error;
    const auto size = socket.read_some(asio::buffer(buffer), error);
    return buffer.substr(0, size);
  }
};

std::string head(std::size_t length) {
  return fmt::format("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", length);
}

TEST(Transfer, ASlowUploadThatGetsAheadTakesAsLongAsItNeeds) {
  const Echo echo;
  Client client(echo);
  constexpr int parts = 20;
  ASSERT_TRUE(client.send(head(parts * 200)));
  const auto begun = steady_clock::now();
  for (int part = 0; part < parts; ++part) {
    std::this_thread::sleep_for(milliseconds(80));  // 2,500 bytes a second: the pace is what is tested
    ASSERT_TRUE(client.send(std::string(200, 'x'))) << part;
  }
  const auto answer = client.receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_TRUE(answer.ends_with(std::to_string(parts * 200))) << answer;
  EXPECT_GT(steady_clock::now() - begun, 3 * patience);
}

TEST(Transfer, AnUploadThatStopsAndOneThatDripsAreToldSo) {
  const Echo echo;
  struct Case {
    const char* name;
    std::size_t every_50_ms;
  };
  for (const auto& [name, bytes] : {Case{"stops", 0}, Case{"drips", 1}}) {
    SCOPED_TRACE(name);
    Client client(echo);
    ASSERT_TRUE(client.send(head(100'000) + "begin"));
    const auto begun = steady_clock::now();
    std::thread dripping([&, count = bytes] {
      while (count > 0 && steady_clock::now() - begun < 10 * patience && client.send(std::string(count, 'x')))
        std::this_thread::sleep_for(milliseconds(50));
    });
    const auto answer = client.receive();
    const auto took = steady_clock::now() - begun;
    dripping.join();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
    EXPECT_NE(answer.find("too slowly"), std::string::npos) << answer;
    EXPECT_GE(took, patience);
    EXPECT_LT(took, 5 * patience);
  }
}

TEST(Transfer, ASlowReaderGetsAllOfItAndOneThatStopsIsCut) {
  const Echo echo;
  Client slow(echo);
  ASSERT_TRUE(slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  const auto begun = steady_clock::now();
  std::size_t got = 0;
  std::string buffer(256 * 1024, '\0');
  boost::system::error_code error;
  while (got < big_answer && !error) {
    got += slow.socket.read_some(asio::buffer(buffer), error);
    if (steady_clock::now() - begun < 3 * patience) std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_GE(got, big_answer) << error.message();

  Client stopped(echo);
  ASSERT_TRUE(stopped.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  std::this_thread::sleep_for(4 * patience);  // nothing is read: what the kernel holds for us is not taken by us
  got = 0;
  error = {};
  while (!error) got += stopped.socket.read_some(asio::buffer(buffer), error);
  EXPECT_LT(got, big_answer) << "it was sent all of it";
}

}  // namespace
}  // namespace afloat::test
