#include "server/by_hand.h"

#include <gtest/gtest.h>

namespace afloat::server {
namespace {

SiteConfig site() {
  SiteConfig config;
  config.path = "/etc/afloat/site.toml";
  config.haproxy_socket = "/run/haproxy/admin.sock";
  config.haproxy_backend = "web";
  for (const auto* number : {"1", "2"}) {
    HostConfig host;
    host.name = std::string("host") + number;
    host.socket = "/run/agent" + std::string(number) + ".sock";
    config.hosts.push_back(host);
    NodeConfig node;
    node.name = std::string("node") + number;
    node.host = host.name;
    node.port = 8100;
    config.nodes.push_back(node);
  }
  return config;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ByHand, TheScriptHasWhatTheConfigurationNames) {
  const auto text = by_hand_script(site(), {"https://wiki.example.org", "ada", "", "1.2.0", "1.3.0", ""});
  for (const auto* part :
       {"export AFLOAT_SITE=https://wiki.example.org AFLOAT_USER=ada\n", "old=1.2.0  new=1.3.0\n",
        "balancer=/run/haproxy/admin.sock  backend=web\n", "config=/etc/afloat/site.toml\n",
        "declare -A agent=([node1]=/run/agent1.sock [node2]=/run/agent2.sock)\n", "\nreplace() { # node version\n"})
    EXPECT_TRUE(has(text, part)) << part << " is not in\n" << text;
  EXPECT_FALSE(has(text, "AFLOAT_PASSWORD=")) << "nobody's password is sent to a browser";
  EXPECT_FALSE(has(text, "afloat() {"));
}

TEST(ByHand, WhatTheShellWouldTakeApartIsQuoted) {
  auto config = site();
  config.path = "/etc/our wiki/it's.toml";
  const auto text = by_hand_script(config, {"http://w", "ada; reboot", "a$b", "1.2.0", "1.3.0", "/opt/a b/afloat"});
  EXPECT_TRUE(has(text, R"(config='/etc/our wiki/it'\''s.toml')")) << text;
  EXPECT_TRUE(has(text, "AFLOAT_USER='ada; reboot' AFLOAT_PASSWORD='a$b'\n")) << text;
  EXPECT_TRUE(has(text, "afloat() { '/opt/a b/afloat' \"$@\"; }\n")) << text;
}

TEST(ByHand, WhatIsMissingIsSaid) {
  EXPECT_EQ(by_hand_obstacle(site()), "");
  auto config = site();
  config.hosts[1].socket = "";
  EXPECT_TRUE(has(by_hand_obstacle(config), "no socket of the agent of node2")) << by_hand_obstacle(config);
  config.haproxy_socket = "";
  EXPECT_TRUE(has(by_hand_obstacle(config), "names no haproxy_socket")) << by_hand_obstacle(config);
}

}  // namespace
}  // namespace afloat::server
