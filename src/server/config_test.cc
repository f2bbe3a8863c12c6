#include "server/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/hash.h"

namespace afloat::server {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    init_crypto();
    path_ = (std::filesystem::temp_directory_path() / ("afloat-config-" + random_hex(6) + ".toml")).string();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  Result<SiteConfig> load(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return load_config(path_);
  }
  std::string path_;
};

const std::string site_keys = "database = \"dbname=wiki\"\nshared_home = \"/srv/wiki\"\n";
const std::string node1 = "[[node]]\nname = \"n1\"\nport = 8081\ndata = \"/var/n1\"\n";

TEST_F(ConfigTest, AWholeFileIsTaken) {
  auto site = load(site_keys + "edition = \"single-node\"\n" + node1 + "threads = 4\n");
  ASSERT_TRUE(site) << site.error().message();
  EXPECT_EQ(site->edition, "single-node");
  ASSERT_EQ(site->nodes.size(), 1U);
  EXPECT_EQ(site->nodes[0].threads, 4);
  EXPECT_TRUE(site->unknown_keys.empty());
}

struct WrongCase {
  std::string name, text;
  std::vector<std::string> says;  ///< beside the file's name
};

TEST_F(ConfigTest, EveryMistakeIsNamedWithItsLineItsKeyAndWhatIsAllowed) {
  const std::vector<WrongCase> cases = {
      {"no TOML", "database = \n", {"line 1", "not TOML"}},
      {"a key twice", site_keys + site_keys, {"line 3", "'database'"}},
      {"no UTF-8", site_keys + "site_name = \"\xff\"\n", {"line 3", "utf-8"}},
      {"a number for a text", site_keys + "site_name = 5\n", {"line 3", "'site_name'", "a text in quotes"}},
      {"a text for a number", site_keys + "max_body_bytes = \"5\"\n", {"line 3", "'max_body_bytes'", "1024 to 1000000000"}},
      {"too small", site_keys + "write_connections = 0\n", {"line 3", "from 1 to 200, not 0"}},
      {"too large", site_keys + "header_timeout_ms = 600001\n", {"line 3", "from 100 to 600000, not 600001"}},
      {"a fraction", site_keys + "request_timeout_ms = 1.5\n", {"line 3", "'request_timeout_ms'", "whole number"}},
      {"idle time", site_keys + "idle_timeout_ms = 1\n", {"'idle_timeout_ms'", "1000 to 3600000"}},
      {"drain time", site_keys + "drain_timeout_ms = -1\n", {"'drain_timeout_ms'", "100 to 3600000"}},
      {"linger", site_keys + "drain_linger_ms = 600001\n", {"'drain_linger_ms'", "0 to 600000"}},
      {"edition", site_keys + "edition = \"server\"\n", {"line 3", "'edition'", "\"data-center\", \"single-node\""}},
      {"log level", site_keys + "log_level = \"loud\"\n", {"'log_level'", "\"debug\", \"info\", \"warning\", \"error\""}},
      {"base_url", site_keys + "base_url = \"wiki.example.org\"\n", {"line 3", "'base_url'", "http://"}},
      {"no database", "shared_home = \"/x\"\n", {"'database'", "missing"}},
      {"empty database", "database = \"\"\nshared_home = \"/x\"\n", {"line 1", "'database'", "not empty"}},
      {"no shared home", "database = \"x\"\n", {"'shared_home'", "missing"}},
      {"[node] for [[node]]", site_keys + "[node]\nname = \"n1\"\n", {"line 3", "'node'", "[[node]]"}},
      {"a list of numbers", site_keys + "node = [5]\n", {"line 3", "[[node]]"}},
      {"a host that is a text", site_keys + "host = \"h1\"\n", {"line 3", "[[host]]"}},
      {"no name", site_keys + "[[node]]\nport = 1\ndata = \"/d\"\n", {"line 3", "'name' in [[node]]", "missing"}},
      {"no port", site_keys + "[[node]]\nname = \"n1\"\ndata = \"/d\"\n", {"line 3", "'port' in [[node]]", "missing"}},
      {"no data", site_keys + "[[node]]\nname = \"n1\"\nport = 1\n", {"line 3", "'data' in [[node]]", "missing"}},
      {"a name with a slash", site_keys + "[[node]]\nname = \"a/b\"\nport = 1\ndata = \"/d\"\n", {"line 4", "'name'", "letters"}},
      {"port 0", site_keys + "[[node]]\nname = \"n1\"\nport = 0\ndata = \"/d\"\n", {"line 5", "'port'", "1 to 65535, not 0"}},
      {"port 65536", site_keys + "[[node]]\nname = \"n1\"\nport = 65536\ndata = \"/d\"\n", {"line 5", "not 65536"}},
      {"threads", site_keys + node1 + "threads = 65\n", {"line 7", "'threads'", "1 to 64"}},
      {"address", site_keys + node1 + "address = \"localhost\"\n", {"line 7", "'address'", "an IP address"}},
      {"two nodes with one name", site_keys + node1 + "[[node]]\nname = \"n1\"\nport = 8082\ndata = \"/var/n2\"\n",
       {"line 8", "n1", "line 4", "two nodes can't share a name"}},
      {"two nodes on one port", site_keys + node1 + "[[node]]\nname = \"n2\"\nport = 8081\ndata = \"/var/n2\"\n",
       {"line 9", "8081", "line 5", "one port"}},
      {"two nodes in one folder", site_keys + node1 + "[[node]]\nname = \"n2\"\nport = 8082\ndata = \"/var/n1\"\n",
       {"line 10", "'data'", "folder of its own"}},
      {"two hosts with one name", site_keys + "[[host]]\nname = \"h\"\nsocket = \"/a\"\ndata = \"/b\"\n"
                                              "[[host]]\nname = \"h\"\nsocket = \"/c\"\ndata = \"/d\"\n",
       {"line 8", "line 4"}},
      {"a host that is not there", site_keys + "[[host]]\nname = \"h\"\nsocket = \"/a\"\ndata = \"/b\"\n" + node1 + "host = \"g\"\n",
       {"line 11", "'host'", "[[host]]"}},
      {"a host without socket", site_keys + "[[host]]\nname = \"h\"\ndata = \"/b\"\n", {"line 3", "'socket' in [[host]]"}},
  };
  for (const auto& wrong : cases) {
    SCOPED_TRACE(wrong.name);
    auto site = load(wrong.text);
    if (site) {
      ADD_FAILURE() << "it was taken";
      continue;
    }
    EXPECT_EQ(site.error().kind(), ErrorKind::invalid_argument);
    const auto& message = site.error().message();
    EXPECT_NE(message.find(path_), std::string::npos) << message;
    for (const auto& words : wrong.says) EXPECT_NE(message.find(words), std::string::npos) << words << " in: " << message;
  }
}

TEST_F(ConfigTest, TwoHostsMayEachHaveANodeOnOnePort) {
  const std::string hosts = "[[host]]\nname = \"a\"\nsocket = \"/a\"\ndata = \"/a\"\n[[host]]\nname = \"b\"\nsocket = \"/b\"\ndata = \"/b\"\n";
  auto site = load(site_keys + hosts + node1 + "host = \"a\"\n[[node]]\nname = \"n2\"\nport = 8081\ndata = \"/var/n1\"\nhost = \"b\"\n");
  EXPECT_TRUE(site) << site.error().message();
}

TEST_F(ConfigTest, AnUnknownKeyIsListedWithTheNearestKnownOne) {
  auto site = load(site_keys + "log_levle = \"info\"\nnonsense_of_its_own = 1\n" + node1 + "prot = 5\n");
  ASSERT_TRUE(site) << site.error().message();
  ASSERT_EQ(site->unknown_keys.size(), 3U);
  EXPECT_NE(site->unknown_keys[0].find("line 3"), std::string::npos) << site->unknown_keys[0];
  EXPECT_NE(site->unknown_keys[0].find("did you mean 'log_level'?"), std::string::npos) << site->unknown_keys[0];
  EXPECT_NE(site->unknown_keys[1].find("it knows: base_url"), std::string::npos) << site->unknown_keys[1];
  EXPECT_NE(site->unknown_keys[2].find("did you mean 'port'?"), std::string::npos) << site->unknown_keys[2];
}

TEST_F(ConfigTest, WhatCannotBeReadSaysWhy) {
  for (const auto& [path, words] : {std::pair<std::string, std::string>("/nonexistent/site.toml", "No such file"),
                                    {"/tmp", "Is a directory"}}) {
    auto site = load_config(path);
    ASSERT_FALSE(site);
    EXPECT_NE(site.error().message().find(path), std::string::npos);
    EXPECT_NE(site.error().message().find(words), std::string::npos) << site.error().message();
  }
}

TEST_F(ConfigTest, ASecretIsNotRepeatedInAMessage) {
  auto site = load("database = [\"host=db dbname=wiki user=wiki password=hunter2-and-more\"]\nshared_home = \"/x\"\n");
  ASSERT_FALSE(site);
  EXPECT_EQ(site.error().message().find("hunter2"), std::string::npos) << site.error().message();
}

}  // namespace
}  // namespace afloat::server
