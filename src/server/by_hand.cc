#include "server/by_hand.h"

#include <fmt/core.h>

#include <algorithm>
#include <ranges>

#include "base/text.h"

namespace afloat::server {
namespace {

/// As the shell reads it as one word; plain where it is one already.
std::string word(const std::string& text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) || std::string_view("-_./:+,@%").contains(static_cast<char>(c));
  });
  return plain ? text : "'" + replace_all(text, "'", R"('\'')") + "'";
}

std::string socket_of(const SiteConfig& site, const NodeConfig& node) {
  const auto host = std::ranges::find(site.hosts, node.host, &HostConfig::name);
  return host == site.hosts.end() ? "" : host->socket;
}

/// Below the variables: as docs/upgrade-by-hand.md has it, word for word; a test compares them.
constexpr std::string_view functions = R"sh(rest() { curl -sS -u "$AFLOAT_USER:$AFLOAT_PASSWORD" "$@"; echo; }
phase() { rest "$site/rest/zdu/state" | jq -r .state; }
mode_on() { rest -X POST "$site/rest/zdu/start" | jq -r .state; }
mode_off() { rest -X POST "$site/rest/zdu/cancel" | jq -r .state; }
haproxy() { echo "$1" | curl -s --unix-socket "$balancer" telnet://haproxy; }
order() { # distribute|stop|switch|start node [version]
  local lead
  lead=$(curl -sS --unix-socket "${agent[$2]}" http://agent/agent/1/report |
    jq '{epoch: .highest_epoch, holder: .epoch_holder}')
  jq -n --argjson lead "$lead" --arg node "$2" --arg version "${3:-}" --arg step "hand/$1/$2/$(date +%s%N)" \
    '$lead + {run: 0, step: $step, node: $node, version: $version, timeout_ms: 30000}' |
    curl -sS --fail-with-body --unix-socket "${agent[$2]}" -H 'Content-Type: application/json' -d @- \
      "http://agent/agent/1/$1" && echo
}
drain() { # node: no new requests; those under way are finished
  haproxy "set server $backend/$1 state drain"
  rest -X POST "${url[$1]}/rest/afloat/1/nodes/$1/drain" >/dev/null
  until rest "${url[$1]}/rest/afloat/1/nodes/$1/drain" | jq -e .drained >/dev/null; do sleep 0.1; done
  haproxy "set server $backend/$1 state maint"
}
replace() { # node version
  order distribute "$1" "$2" && drain "$1" && order stop "$1" && order switch "$1" "$2" && order start "$1" || return 1
  until curl -sf "${url[$1]}/health/ready" >/dev/null; do sleep 0.1; done
  haproxy "set server $backend/$1 state ready"
  until haproxy "show stat" | grep "^$backend,$1," | cut -d, -f18 | grep -qx UP; do sleep 0.1; done
  sleep 0.5 # slowstart: until it has its full weight
}
)sh";

}  // namespace

std::string by_hand_script(const SiteConfig& site, const ByHand& about) {
  std::string urls, agents;
  bool tls = false;
  for (const auto& node : site.nodes) {
    const auto* gap = urls.empty() ? "" : " ";
    urls += fmt::format("{}[{}]={}", gap, node.name, word(node.url()));
    agents += fmt::format("{}[{}]={}", gap, node.name, word(socket_of(site, node)));
    tls = tls || node.tls();
  }
  auto text = fmt::format("# An upgrade from {} to {} by hand, one command at a time. For bash; needs curl and jq.\n",
                          about.from, about.to);
  text += fmt::format("export AFLOAT_SITE={} AFLOAT_USER={}", word(about.url), word(about.user));
  text += about.password.empty() ? "\n" : fmt::format(" AFLOAT_PASSWORD={}\n", word(about.password));
  if (tls && !site.tls_ca.empty()) text += fmt::format("export CURL_CA_BUNDLE={}\n", word(site.tls_ca));
  text += fmt::format("site=$AFLOAT_SITE  old={}  new={}\n", about.from, about.to);
  text += fmt::format("config={}\n", word(site.path));
  text += fmt::format("balancer={}  backend={}\n", word(site.haproxy_socket), word(site.haproxy_backend));
  text += fmt::format("declare -A url=({})\ndeclare -A agent=({})\n", urls, agents);
  if (!about.program.empty()) text += fmt::format("afloat() {{ {} \"$@\"; }}\n", word(about.program));
  return text + "\n" + std::string(functions);
}

std::string by_hand_sign_in(const std::string& user) {
  return fmt::format("read -rsp {} AFLOAT_PASSWORD; echo; export AFLOAT_PASSWORD", word("Password of " + user + ": "));
}

std::string by_hand_replace(const std::string& node) { return fmt::format("replace {} \"$new\"", node); }
std::string by_hand_replace_back(const std::string& node) { return fmt::format("replace {} \"$old\"", node); }

std::string by_hand_obstacle(const SiteConfig& site) {
  if (site.haproxy_socket.empty())
    return fmt::format(
        "{} names no haproxy_socket, so these commands can't take a node out of the load balancer. Name it, or do with "
        "your balancer what drain and replace do with HAProxy in docs/upgrade-by-hand.md.",
        site.path);
  std::string without;
  for (const auto& node : site.nodes)
    if (socket_of(site, node).empty()) without += (without.empty() ? "" : ", ") + node.name;
  if (!without.empty())
    return fmt::format(
        "{} names no socket of the agent of {}, so these commands can't stop and switch it. Name it under [[host]], or "
        "replace the node in your own way: drain it, stop it, start the new release in its place.",
        site.path, without);
  return {};
}

}  // namespace afloat::server
