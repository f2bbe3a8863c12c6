#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <random>

#include "base/json_fields.h"
#include "base/text.h"
#include "support/lone_node.h"

// Whatever bytes a client sends: an answer 4xx with a message or a closed connection, never 500, the node goes
// on, and its log stays short.
namespace afloat::test {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

class BadRequests : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    database_ = std::make_unique<Database>();
    node_ = std::make_unique<LoneNode>(database_->connection());
    node_->write_config("max_body_bytes = 100000\nheader_timeout_ms = 500\n");
    node_->start();
    ASSERT_TRUE(node_->wait_ready()) << node_->log();
    ASSERT_EQ(node_->admin().post("/rest/api/space", R"({"key":"T","name":"T"})").status, 200);
  }
  static void TearDownTestSuite() {
    node_.reset();
    database_.reset();
  }
  LoneNode& node() { return *node_; }
  static std::string credentials() { return "Authorization: Basic " + to_base64(std::string("admin:") + LoneNode::password) + "\r\n"; }

  /// Sends the bytes as they are; the whole answer until the node closes or has sent what Content-Length says.
  std::string send(const std::string& bytes, bool half_close = true) {
    asio::io_context context;
    asio::ip::tcp::socket socket(context);
    socket.connect({asio::ip::make_address("127.0.0.1"), static_cast<unsigned short>(node().port())});
    timeval limit{.tv_sec = 5, .tv_usec = 0};
    setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    boost::system::error_code error;
    asio::write(socket, asio::buffer(bytes), error);
    if (half_close) socket.shutdown(asio::socket_base::shutdown_send, error);
    std::string answer;
    char buffer[8192];
    for (;;) {
      const auto count = ::recv(socket.native_handle(), buffer, sizeof buffer, 0);
      if (count <= 0) break;
      answer.append(buffer, static_cast<std::size_t>(count));
      if (!half_close && answer.find("\r\n\r\n") != std::string::npos) break;
    }
    return answer;
  }
  static int status_of(const std::string& answer) {
    return answer.starts_with("HTTP/1.1 ") ? static_cast<int>(parse_int(answer.substr(9, 3)).value_or(0)) : 0;
  }

  static std::unique_ptr<Database> database_;
  static std::unique_ptr<LoneNode> node_;
};
std::unique_ptr<Database> BadRequests::database_;
std::unique_ptr<LoneNode> BadRequests::node_;

TEST_F(BadRequests, BytesThatAreNoHttp) {
  struct Case {
    std::string name, bytes;
    int status;
  };
  const std::string big(40'000, 'a');
  const std::vector<Case> cases = {
      {"a header line too large", "GET / HTTP/1.1\r\nHost: x\r\nX: " + big + "\r\n\r\n", 431},
      {"an address too large", "GET /" + big + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
      {"a body that is announced too large", "POST /rest/api/content HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", 413},
      {"a body in chunks too large", "POST /rest/api/content HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(0x20000, 'x') + "\r\n0\r\n\r\n", 413},
      {"a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400},
      {"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400},
      {"a length and chunks", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunks that are none", "POST /rest/api/content HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(60, '\0') + "\r\n\r\n", 400},
      {"HTTP/0.9", "GET /\r\n\r\n", 400},
      {"a broken header", "GET / HTTP/1.1\r\nno colon here\r\n\r\n", 400},
  };
  for (const auto& [name, bytes, status] : cases) {
    SCOPED_TRACE(name);
    const auto answer = send(bytes);
    EXPECT_EQ(status_of(answer), status) << answer.substr(0, 300);
    EXPECT_NE(answer.find(fmt::format("\"statusCode\":{},\"message\":\"", status)), std::string::npos) << answer.substr(0, 500);
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer.substr(0, 300);
  }
  const auto late = send("GET /status HTTP/1.1\r\nHost", false);
  EXPECT_EQ(status_of(late), 408) << "a header that does not come: " << late;
}

TEST_F(BadRequests, RequestsThatMakeNoSense) {
  struct Case {
    std::string method, target, body;
    int status;
  };
  const std::string page = R"("type":"page","title":"P","space":{"key":"T"})";
  const std::vector<Case> cases = {
      {"GET", "/nothing/here", "", 404},
      {"GET", "/assets/../../etc/passwd", "", 404},
      {"GET", "/assets/%2e%2e/%2e%2e/etc/passwd", "", 404},
      {"GET", "/assets/..%2f..%2f..%2fetc%2fpasswd", "", 404},
      {"GET", "/download/attachments/1/..%2f..%2fsite.key", "", 404},
      {"GET", "/rest/api/space/%zz", "", 400},
      {"GET", "/rest/api/space/%00", "", 400},
      {"GET", "/rest/api/space/%ff%fe", "", 400},
      {"GET", "/rest/api/content?title=%ff", "", 400},
      {"GET", "/rest/api/content?title=%zz", "", 400},
      {"GET", "/rest/api/content?title=a%00b", "", 400},
      {"GET", "/rest/api/content?start=99999999999999999999", "", 400},
      {"GET", "/rest/api/content?start=9223372036854775807&limit=9223372036854775807", "", 400},
      {"GET", "/rest/api/content?start=-1", "", 400},
      {"GET", "/rest/api/content/99999999999999999999999", "", 404},
      {"GET", "/rest/api/content/-1", "", 404},
      {"GET", "/rest/api/search?cql=((((((", "", 400},
      {"GET", "/rest/afloat/1/runs?limit=1e9", "", 400},
      {"GET", "/rest/afloat/1/runs/x", "", 400},
      {"DELETE", "/rest/afloat/1/nodes/lone%00x", "", 400},
      {"DELETE", "/rest/api/space", "", 405},
      {"BREW", "/rest/api/content", "", 405},
      {"PUT", "/rest/zdu/start", "", 405},
      {"POST", "/status", "", 405},
      {"POST", "/rest/api/content", "", 400},
      {"POST", "/rest/api/content", "{", 400},
      {"POST", "/rest/api/content", "[]", 400},
      {"POST", "/rest/api/content", "5", 400},
      {"POST", "/rest/api/content", std::string(50'000, '['), 400},
      {"POST", "/rest/api/content", "{\"title\":\"\xff\xfe\"}", 400},
      {"POST", "/rest/api/content", "{" + page + R"(,"body":7})", 400},
      {"POST", "/rest/api/content", "{" + page + R"(,"ancestors":5})", 400},
      {"POST", "/rest/api/content", "{" + page + R"(,"ancestors":[null]})", 400},
      {"POST", "/rest/api/content", "{" + page + R"(,"version":"x"})", 400},
      {"POST", "/rest/api/content", "{" + page + R"(,"version":{"number":1e300}})", 400},
      {"POST", "/rest/api/content", R"({"type":"page","title":["x"],"space":{"key":"T"}})", 400},
      {"POST", "/rest/api/content", R"({"type":"page","title":"a\u0000b","space":{"key":"T"}})", 400},
      {"POST", "/rest/api/content", R"({"type":"page","title":"x","space":"T"})", 400},
      {"POST", "/rest/api/space", R"({"key":"X","name":{}})", 400},
      {"POST", "/rest/afloat/1/runs", "{}", 400},
      {"POST", "/rest/afloat/1/runs", R"({"to":"1.2.3","options":{"hold_before_finalize":"yes"}})", 400},
      {"POST", "/rest/afloat/1/nodes/lone/drain", R"({"balanced":"yes"})", 400},
      {"POST", "/rest/afloat/1/nodes/other/drain", "", 404},
      {"POST", "/rest/zdu/cancel", "", 409},
  };
  for (const auto& [method, target, body, status] : cases) {
    SCOPED_TRACE(method + " " + target + " " + body.substr(0, 80));
    const auto answer = send(fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Atlassian-Token: no-check\r\n{}Content-Type: application/json\r\n"
                                         "Content-Length: {}\r\n\r\n{}", method, target, credentials(), body.size(), body));
    EXPECT_EQ(status_of(answer), status) << answer.substr(0, 500);
    if (!target.starts_with("/assets")) {
      EXPECT_NE(answer.find("\"message\":\""), std::string::npos) << answer;
    }
    if (status == 405) {
      EXPECT_NE(answer.find("\r\nAllow: "), std::string::npos) << answer;
    }
    EXPECT_TRUE(is_utf8(answer));
    EXPECT_EQ(answer.find("root:"), std::string::npos);
  }
  const auto allow = send("PATCH /rest/api/space HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(allow.find("\r\nAllow: GET, POST\r\n"), std::string::npos) << allow;
}

TEST_F(BadRequests, AThousandDamagedRequestsLeaveTheNodeWhole) {
  // The same every time: a damage that breaks something must be found again.
  std::mt19937 random(20261124);
  const auto number = [&](std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random); };
  const std::vector<std::string> good = {
      "GET /rest/api/content?spaceKey=T&title=P&start=0&limit=5&expand=body.storage,version HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n",
      "POST /rest/api/content HTTP/1.1\r\nHost: x\r\n" + credentials() + "Content-Type: application/json\r\nContent-Length: 115\r\n\r\n"
      R"({"type":"page","title":"Q","space":{"key":"T"},"body":{"storage":{"value":"<p>x</p>","representation":"storage"}}})" "\n",
      "PUT /rest/api/content/1/child/attachment HTTP/1.1\r\nHost: x\r\n" + credentials() + "X-Atlassian-Token: no-check\r\nContent-Type: multipart/form-data; "
      "boundary=b\r\nContent-Length: 85\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nbytes bytes\r\n--b--\r\n",
      "GET /rest/api/search?cql=type=page%20and%20text~%22harbour%22%20and%20space=T HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n",
      "GET /login HTTP/1.1\r\nHost: x\r\nCookie: a=b; session=0123456789\r\nIf-None-Match: \"x\"\r\n\r\n",
  };
  const std::vector<std::string> splices = {"\r\n\r\n", std::string(1, '\0'), "\xff\xfe", "%00", "%ff", "../", "99999999999999999999", "-1", "{", "]", "\"", "\r", "Content-Length: 5\r\n", std::string(3000, 'A')};
  const auto log_before = node().log().size();
  const auto begin = std::chrono::steady_clock::now();
  std::map<int, int> seen;
  for (int i = 0; i < 1000; ++i) {
    auto bytes = good[number(good.size())];
    for (std::size_t damages = 1 + number(4); damages > 0; --damages) {
      if (bytes.empty()) break;
      const auto at = number(bytes.size());
      switch (number(4)) {
        case 0: bytes[at] = static_cast<char>(number(256)); break;
        case 1: bytes.insert(at, splices[number(splices.size())]); break;
        case 2: bytes.erase(at, 1 + number(20)); break;
        default: bytes.resize(at + 1); break;
      }
    }
    const auto answer = send(bytes);
    const int status = status_of(answer);
    ++seen[status];
    EXPECT_LT(status, 500) << "request " << i << ":\n" << bytes << "\n" << answer.substr(0, 500);
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_GT(1000 / took, 200) << took << " s";
  EXPECT_GT(seen[400], 100);
  EXPECT_TRUE(node().process().running());
  EXPECT_EQ(node().admin().get("/rest/api/space/T").status, 200);
  EXPECT_LT(node().log().size() - log_before, 2000U) << "the log is flooded:\n" << node().log().substr(0, 5000);
}

}  // namespace
}  // namespace afloat::test
