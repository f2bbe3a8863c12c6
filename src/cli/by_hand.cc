#include "cli/by_hand.h"

#include <fmt/core.h>

#include "base/text.h"

namespace afloat::cli {

std::string by_hand_script(local::Site& site, const std::string& to) {
  std::string ports, agents, names;
  for (const auto& node : site.nodes()) {
    names += (names.empty() ? "" : " ") + node.name;
    ports += fmt::format(" [{}]={}", node.name, node.url());
    agents += fmt::format(" [{}]={}/hosts/{}/agent.sock", node.name, site.dir(), node.host);
  }
  std::string text = R"sh(# An upgrade by hand, one command at a time. Written by afloat demo --hands-on.
export AFLOAT_USER=admin AFLOAT_PASSWORD=@PASSWORD@
site=@SITE@  balancer=@BALANCER@  nodes="@NAMES@"
declare -A url=(@URLS@ )
declare -A agent=(@AGENTS@ )

rest() { curl -sS -u "$AFLOAT_USER:$AFLOAT_PASSWORD" "$@"; echo; }
haproxy() { echo "$1" | curl -s --unix-socket "$balancer" telnet://haproxy; }
order() { # distribute|stop|switch|start node [version]: the agent keeps nodes running, so it must stop them
  local lead; lead=$(curl -sS --unix-socket "${agent[$2]}" http://agent/agent/1/report | jq '{epoch: .highest_epoch, holder: .epoch_holder}')
  jq -n --argjson lead "$lead" --arg node "$2" --arg version "${3:-}" --arg step "hand/$1/$2/$(date +%s%N)" \
    '$lead + {run: 0, step: $step, node: $node, version: $version, timeout_ms: 30000}' |
    curl -sS --unix-socket "${agent[$2]}" -H 'Content-Type: application/json' -d @- "http://agent/agent/1/$1"; echo
}

mode_on() { rest -X POST "$site/rest/zdu/start"; }
phase() { rest "$site/rest/zdu/state" | jq -r .state; }
drain() { # node: no new requests, and those under way are finished
  haproxy "set server wiki/$1 state drain"
  rest -X POST "${url[$1]}/rest/afloat/1/nodes/$1/drain" >/dev/null
  until rest "${url[$1]}/rest/afloat/1/nodes/$1/drain" | jq -e .drained >/dev/null; do sleep 0.1; done
  haproxy "set server wiki/$1 state maint"
}
replace() { # node version
  order distribute "$1" "$2" && drain "$1" && order stop "$1" && order switch "$1" "$2" && order start "$1"
  until curl -sf "${url[$1]}/health/ready" >/dev/null; do sleep 0.1; done
  haproxy "set server wiki/$1 state ready"
  until haproxy "show stat" | grep "^wiki,$1," | cut -d, -f18 | grep -qx UP; do sleep 0.1; done
  sleep 0.5 # slowstart: full weight
}
finalize() { rest -X POST "$site/rest/zdu/approve"; }
)sh";
  text = replace_all(text, "@PASSWORD@", site.admin_password());
  text = replace_all(text, "@SITE@", site.url());
  text = replace_all(text, "@BALANCER@", site.haproxy().socket());
  text = replace_all(text, "@NAMES@", names);
  text = replace_all(text, "@URLS@", ports);
  text = replace_all(text, "@AGENTS@", agents);
  text += fmt::format("# mode_on; phase; for node in $nodes; do replace $node {}; done; phase; finalize; phase\n", to);
  return text;
}

}  // namespace afloat::cli
