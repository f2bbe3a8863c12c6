#include "cli/site_access.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <thread>

namespace afloat::cli {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;

/// Gives each connection the next of some answers; "" hangs up on the request instead.
class Answers {
 public:
  explicit Answers(std::vector<std::string> answers) : answers_(std::move(answers)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Answers() {
    stopping_ = true;
    boost::system::error_code ignored;
    tcp::socket(context_).connect(acceptor_.local_endpoint(), ignored);  // wakes accept()
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }
  int asked() const { return asked_; }

 private:
  void serve() {
    boost::system::error_code fault;
    while (!stopping_) {
      tcp::socket socket(context_);
      acceptor_.accept(socket, fault);
      if (fault || stopping_) return;
      boost::asio::streambuf request;
      boost::asio::read_until(socket, request, "\r\n\r\n", fault);
      const auto answer = answers_[std::min<std::size_t>(static_cast<std::size_t>(asked_++), answers_.size() - 1)];
      if (!answer.empty()) boost::asio::write(socket, boost::asio::buffer(answer), fault);
    }
  }

  std::vector<std::string> answers_;
  boost::asio::io_context context_;
  tcp::acceptor acceptor_{context_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
  std::atomic<int> asked_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

std::string answer(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

constexpr const char* hang_up = "";

SiteRest rest(const std::string& url) {
  ::setenv("AFLOAT_PASSWORD", "secret", 1);
  auto opened = SiteRest::open({.site = url});
  EXPECT_TRUE(opened) << opened.error().message();
  return *std::move(opened);
}

struct RepeatCase {
  std::string name, method;
  std::vector<std::string> answers;
  int asked;
  std::optional<ErrorKind> error;
};

TEST(SiteRest, RepeatsReadsAndWhatWasNotCarriedOut) {
  const auto busy = answer(503, R"({"message":"not now"})"), good = answer(200, "{}");
  const std::vector<RepeatCase> cases = {
      {"a good answer is enough", "POST", {good}, 1, std::nullopt},
      {"a node that is leaving did nothing", "POST", {busy, good}, 2, std::nullopt},
      {"a read that broke off", "GET", {hang_up, good}, 2, std::nullopt},
      {"a write that broke off may have happened", "POST", {hang_up, good}, 1, ErrorKind::deadline_exceeded},
      {"a refusal is an answer", "GET", {answer(409, "{}"), good}, 1, ErrorKind::failed_precondition},
      {"patience has an end", "GET", {busy}, 3, ErrorKind::unavailable},
  };
  for (const auto& [name, method, answers, asked, error] : cases) {
    SCOPED_TRACE(name);
    Answers site(answers);
    const auto said = rest(site.url()).call(method, "/x", "", {.timeout = 2s, .patience = 300ms});
    EXPECT_EQ(site.asked(), asked);
    ASSERT_EQ(said.has_value(), !error);
    if (error) EXPECT_EQ(said.error().kind(), *error) << said.error().message();
  }
}

TEST(SiteRest, NobodyThereIsToldAfterSomeTries) {
  std::string url;
  {
    url = Answers({hang_up}).url();
  }
  const auto said = rest(url).call("POST", "/x", "{}", {.timeout = 1s, .patience = 300ms});
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().kind(), ErrorKind::unavailable);
}

TEST(SiteRest, ARefusalCarriesTheSitesOwnWords) {
  Answers site({answer(409, R"({"message":"run 7 is in charge"})")});
  const auto said = rest(site.url()).object("POST", "/x", "{}");
  ASSERT_FALSE(said);
  EXPECT_NE(said.error().message().find("run 7 is in charge"), std::string::npos) << said.error().message();
}

}  // namespace
}  // namespace afloat::cli
