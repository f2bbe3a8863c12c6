#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>

#include <filesystem>
#include <memory>

#include "base/json_fields.h"
#include "base/text.h"
#include "support/certificates.h"
#include "support/lone_node.h"

// HTTPS of nodes and agents, with real certificates and real processes.
namespace afloat::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A connection that stays open, by OpenSSL alone: curl would hide which one it uses.
class Connection {
 public:
  Connection(const std::string& ca, int port) : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    SSL_CTX_load_verify_locations(context_.get(), ca.c_str(), nullptr);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    bio_.reset(BIO_new_ssl_connect(context_.get()));
    BIO_set_conn_hostname(bio_.get(), fmt::format("127.0.0.1:{}", port).c_str());
    open_ = BIO_do_connect(bio_.get()) == 1;
  }
  bool open() const { return open_; }
  /// Common name of what the other side showed.
  std::string shown() const {
    SSL* ssl = nullptr;
    BIO_get_ssl(bio_.get(), &ssl);
    std::unique_ptr<X509, decltype(&X509_free)> certificate(ssl ? SSL_get1_peer_certificate(ssl) : nullptr, X509_free);
    char name[128] = {};
    if (certificate)
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name, sizeof name);
    return name;
  }
  /// GET /status on this connection; "" when it is gone.
  std::string status() {
    const std::string request = "GET /status HTTP/1.1\r\nHost: afloat\r\n\r\n";
    if (BIO_write(bio_.get(), request.data(), static_cast<int>(request.size())) <= 0) return {};
    char buffer[4096];
    const int read = BIO_read(bio_.get(), buffer, sizeof buffer);
    return read > 0 ? std::string(buffer, static_cast<std::size_t>(read)) : std::string();
  }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<BIO, decltype(&BIO_free_all)> bio_{nullptr, BIO_free_all};
  bool open_ = false;
};

class TlsTest : public testing::Test {
 protected:
  Database database;
  Authority authority;
  LoneNode node{database.connection()};

  void configure(const Authority::Pair& pair, const std::string& more = {}) {
    const auto text = fmt::format(
        "database = \"{}\"\nshared_home = \"{}\"\n{}\n[[node]]\nname = \"lone\"\nport = {}\ndata = \"{}/data\"\n"
        "tls_certificate = \"{}\"\ntls_key = \"{}\"\n",
        database.connection(), node.home(), more, node.port(), node.folder(), pair.certificate, pair.key);
    ASSERT_TRUE(local::write_file(node.config(), text, 0600));
  }
  std::string https(const std::string& path) const { return fmt::format("https://127.0.0.1:{}{}", node.port(), path); }
  static Result<http::Response> ask(const std::string& url, const std::string& ca, const std::string& method = "GET",
                                    const std::string& body = {}, const std::string& token_file = {}) {
    http::Client client(1);
    client.trust(ca);
    http::ClientRequest request;
    request.url = url;
    request.method = method;
    request.body = body;
    request.token_file = token_file;
    if (token_file.empty()) {
      request.user = "admin";
      request.password = LoneNode::password;
    }
    if (!body.empty()) request.headers.set("Content-Type", "application/json");
    return client.send_blocking(std::move(request), seconds(5));
  }
  bool await_ready() {
    return eventually(seconds(15), [&] {
      const auto answer = ask(https("/health/ready"), authority.ca());
      return (answer && answer->status == 200) || !node.process().running();
    }) && node.process().running();
  }
};

TEST_F(TlsTest, ANodeServesHttpsToThoseWhoTrustItsAuthority) {
  ASSERT_NO_FATAL_FAILURE(configure(authority.issue("lone")));
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(await_ready()) << node.log();
  const auto space = ask(https("/rest/api/space"), authority.ca(), "POST", R"({"key":"T","name":"T"})");
  ASSERT_TRUE(space) << space.error().message();
  EXPECT_EQ(space->status, 200) << *space->body;
  const std::string big(300'000, 'x');
  const auto page = ask(https("/rest/api/content"), authority.ca(), "POST",
                        R"({"type":"page","title":"Page","space":{"key":"T"},"body":{"storage":{"value":"<p>)" + big +
                            R"(</p>","representation":"storage"}}})");
  ASSERT_TRUE(page) << page.error().message();
  ASSERT_EQ(page->status, 200) << page->body->substr(0, 300);
  const auto id = string_or(*parse_json_object(*page->body, "page"), "id");
  const auto read = ask(https("/rest/api/content/" + id + "?expand=body.storage"), authority.ca());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_NE(read->body->find(big), std::string::npos);

  Authority other;
  const auto stranger = ask(https("/status"), other.ca());
  ASSERT_FALSE(stranger);
  EXPECT_NE(stranger.error().message().find("certificate"), std::string::npos) << stranger.error().message();
  const auto plain = ask(fmt::format("http://127.0.0.1:{}/status", node.port()), authority.ca());
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(plain->status, 400);
  EXPECT_NE(plain->body->find("https"), std::string::npos) << *plain->body;
  EXPECT_TRUE(await_ready()) << "a client that speaks no TLS harms nobody";

  const auto verb = [&](std::map<std::string, std::string> env) {
    local::ProcessOptions run;
    run.argv = {bundles().program, "nodes", "list"};
    run.env = {{"AFLOAT_USER", "admin"}, {"AFLOAT_PASSWORD", LoneNode::password}, {"AFLOAT_SITE", https("")}};
    run.env.merge(env);
    return local::run_command(run, seconds(20)).value();
  };
  EXPECT_EQ(verb({{"AFLOAT_CA", authority.ca()}}).exit_code, 0);
  EXPECT_EQ(verb({{"AFLOAT_CA", other.ca()}}).exit_code, 1);
  EXPECT_EQ(node.process().stop(), 0);
}

TEST_F(TlsTest, CertificatesAreReplacedWhileConnectionsLiveOnAndABrokenOneIsKeptOut) {
  const auto pair = authority.issue("first");
  ASSERT_NO_FATAL_FAILURE(configure(pair));
  ASSERT_NO_FATAL_FAILURE(node.start());
  ASSERT_TRUE(await_ready()) << node.log();
  Connection old(authority.ca(), node.port());
  ASSERT_TRUE(old.open());
  EXPECT_EQ(old.shown(), "first");
  EXPECT_NE(old.status().find("200 OK"), std::string::npos);
  const auto shown = [&] { return Connection(authority.ca(), node.port()).shown(); };
  const auto put = [&](const Authority::Pair& next) {
    fs::rename(next.key, pair.key);
    fs::rename(next.certificate, pair.certificate);
  };

  put(authority.issue("second"));
  EXPECT_TRUE(eventually(seconds(8), [&] { return shown() == "second"; })) << node.log();
  EXPECT_NE(old.status().find("200 OK"), std::string::npos) << "it goes on with what it began with";

  ASSERT_TRUE(local::write_file(pair.certificate, "-----BEGIN CERTIFICATE-----\nnothing\n"));
  EXPECT_TRUE(eventually(seconds(8), [&] { return node.log().contains("is no certificate in PEM form"); })) << node.log();
  EXPECT_EQ(shown(), "second");

  // A file that is as it was is read again for the signal alone.
  const auto complaints = [&] {
    const auto log = node.log();
    int count = 0;
    for (auto at = log.find("is no certificate in PEM form"); at != std::string::npos;
         at = log.find("is no certificate in PEM form", at + 1))
      ++count;
    return count;
  };
  EXPECT_EQ(complaints(), 1);
  node.process().signal(SIGHUP);
  EXPECT_TRUE(eventually(seconds(8), [&] { return complaints() == 2; })) << node.log();
  EXPECT_EQ(shown(), "second");

  put(authority.issue("third"));
  node.process().signal(SIGHUP);
  EXPECT_TRUE(eventually(seconds(8), [&] { return shown() == "third"; })) << node.log();
  EXPECT_NE(old.status().find("200 OK"), std::string::npos);
  EXPECT_TRUE(node.process().running()) << "SIGHUP ends nobody";
}

TEST_F(TlsTest, WhatIsWrongWithACertificateIsSaidAtTheStart) {
  const auto good = authority.issue("good"), other = authority.issue("other");
  struct Case {
    Authority::Pair pair;
    std::string says;
  };
  for (const auto& [pair, says] : {Case{{authority.path("none.pem"), good.key}, "none.pem"},
                                   Case{{good.certificate, other.key}, "does not belong to the certificate"},
                                   Case{{good.key, good.key}, "is no certificate in PEM form"},
                                   Case{{good.certificate, good.certificate}, "is no private key in PEM form"}}) {
    ASSERT_NO_FATAL_FAILURE(configure(pair));
    ASSERT_NO_FATAL_FAILURE(node.start());
    EXPECT_EQ(node.wait_end(), 1) << node.log();
    EXPECT_NE(node.log().find(says), std::string::npos) << says << " is not in " << node.log();
  }
  ASSERT_NO_FATAL_FAILURE(configure(authority.issue("late", -1)));
  ASSERT_NO_FATAL_FAILURE(node.start());
  EXPECT_TRUE(eventually(seconds(15), [&] { return node.log().contains("expired at"); })) << node.log();
  EXPECT_FALSE(ask(https("/status"), authority.ca())) << "clients refuse it";
  EXPECT_EQ(node.process().stop(), 0);
  ASSERT_TRUE(local::write_file(node.config(), replace_all(*local::read_file(node.config()), "tls_key", "# tls_key"), 0600));
  ASSERT_NO_FATAL_FAILURE(node.start());
  EXPECT_EQ(node.wait_end(), 1);
  EXPECT_NE(node.log().find("a certificate is of use only with its key"), std::string::npos) << node.log();
}

TEST_F(TlsTest, AnAgentAnswersOverTheNetworkOnlyWithATokenAndOnlyUnderTls) {
  const auto pair = authority.issue("agent");
  const auto tokens = authority.path("tokens");
  const std::string right(40, 'a'), next(40, 'b');
  ASSERT_TRUE(local::write_file(tokens, right + "\n", 0600));
  local::PortBlock ports = local::PortBlock::take().value();
  const auto listen = fmt::format("127.0.0.1:{}", ports.first());
  const auto config = [&](const std::string& keys) {
    const auto text = fmt::format(
        "database = \"{}\"\nshared_home = \"{}\"\ncatalogue = \"{}\"\n[[host]]\nname = \"host1\"\nsocket = \"{}/a.sock\"\n"
        "data = \"{}/host\"\n{}[[node]]\nname = \"lone\"\nhost = \"host1\"\nport = {}\ndata = \"{}/data\"\n",
        database.connection(), node.home(), node.home(), node.folder(), node.folder(), keys, node.port(), node.folder());
    EXPECT_TRUE(local::write_file(node.config(), text, 0600));
  };
  const auto start = [&] {
    local::ProcessOptions run;
    run.argv = {bundles().program, "agent", "--config", node.config(), "--host", "host1"};
    run.log = node.folder() + "/agent.log";
    EXPECT_TRUE(local::write_file(run.log, ""));
    return local::Process::start(run).value();
  };
  const auto log = [&] { return local::read_file(node.folder() + "/agent.log").value_or(""); };
  const auto with_tls = fmt::format("tls_certificate = \"{}\"\ntls_key = \"{}\"\n", pair.certificate, pair.key);

  config(fmt::format("listen = \"{}\"\ntoken_file = \"{}\"\n", listen, tokens));
  auto refused = start();
  EXPECT_NE(refused.wait(seconds(10)).value_or(0), 0) << "without TLS";
  EXPECT_NE(log().find("only with TLS and a token"), std::string::npos) << log();
  config(fmt::format("listen = \"{}\"\n{}", listen, with_tls));
  refused = start();
  EXPECT_NE(refused.wait(seconds(10)).value_or(0), 0) << "without a token";
  EXPECT_NE(log().find("only with TLS and a token"), std::string::npos) << log();

  config(fmt::format("listen = \"{}\"\ntoken_file = \"{}\"\n{}", listen, tokens, with_tls));
  auto agent = start();
  const auto report = "https://" + listen + "/agent/1/report";
  const auto wrong_file = authority.path("wrong"), next_file = authority.path("next");
  ASSERT_TRUE(local::write_file(wrong_file, std::string(40, 'c') + "\n", 0600));
  ASSERT_TRUE(local::write_file(next_file, next + "\n", 0600));
  const auto status = [&](const std::string& token_file) {
    const auto answer = ask(report, authority.ca(), "GET", {}, token_file);
    return answer ? answer->status : 0;
  };
  ASSERT_TRUE(eventually(seconds(10), [&] { return status(tokens) == 200; })) << log();
  EXPECT_EQ(status(wrong_file), 401);
  EXPECT_EQ(status(""), 401) << "a password is no token";
  Authority other;
  EXPECT_FALSE(ask(report, other.ca(), "GET", {}, tokens)) << "a client that trusts somebody else sends nothing";
  const auto plain = ask("http://" + listen + "/agent/1/report", authority.ca(), "GET", {}, tokens);
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(plain->status, 400);
  // A token is replaced without a moment in which nothing fits.
  ASSERT_TRUE(local::write_file(tokens, right + "\n" + next + "\n", 0600));
  EXPECT_TRUE(eventually(seconds(5), [&] { return status(next_file) == 200; })) << log();
  EXPECT_EQ(status(tokens), 200);
  ASSERT_TRUE(local::write_file(tokens, next + "\n", 0600));
  const auto first_file = authority.path("first");
  ASSERT_TRUE(local::write_file(first_file, right + "\n", 0600));
  EXPECT_TRUE(eventually(seconds(5), [&] { return status(first_file) == 401; })) << log();
  EXPECT_EQ(log().find(right), std::string::npos) << "a token in the log";
  EXPECT_EQ(log().find(next), std::string::npos) << "a token in the log";
  EXPECT_EQ(agent.stop(), 0);
}

}  // namespace
}  // namespace afloat::test
