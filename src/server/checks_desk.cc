#include "server/checks_desk.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>
#include <vector>

#include "base/json_fields.h"
#include "base/text.h"
#include "rollout/facts.h"
#include "rollout/health.h"
#include "server/concurrently.h"
#include "server/upgrade_look.h"
#include "store/cluster_store.h"
#include "store/run_store.h"
#include "version/version.h"

namespace afloat::server {

namespace json = boost::json;
using namespace std::chrono_literals;
using rollout::Check;

namespace {

/// Whoever asks for all checks waits no longer than this for the database, and that long for base_url.
constexpr auto site_time_limit = 1'500ms, base_url_time_limit = 1'000ms;

struct Group {
  std::string name;
  std::vector<Check> checks;
};

json::array checks_json(const std::vector<Group>& groups) {
  json::array all;
  for (const auto& group : groups)
    for (auto& value : json::parse(rollout::to_json(group.checks)).as_array()) {
      value.as_object()["group"] = group.name;
      all.push_back(std::move(value));
    }
  return all;
}

}  // namespace

ChecksDesk::ChecksDesk(Context& context)
    : context_(context),
      notes_(context),
      runs_(store::make_run_store(context.database)),
      cluster_(store::make_cluster_store(context.database, context.clock, context.timer)) {
  client_.trust(context.config.tls_ca);
}

Deadline ChecksDesk::within(Context& context, Deadline deadline) {
  return std::min<Deadline>(context.clock.steady_now() + site_time_limit, deadline);
}

Task<json::object> ChecksDesk::answer(std::string group, std::optional<std::string> to, Deadline deadline) {
  const auto began = context_.clock.steady_now();
  if (!group.empty() && group != "health" && group != "upgrade")
    co_return fail(ErrorKind::invalid_argument, "group is health or upgrade; left out: both");
  if (group == "upgrade" && !to) co_return fail(ErrorKind::invalid_argument, "Say the target: ?to=VERSION.");
  if (to)
    if (auto target = version::parse_version(*to); !target) co_return std::unexpected(target.error());
  auto seen = co_await look(deadline);
  if (!seen) co_return std::unexpected(seen.error());

  std::vector<Group> groups;
  json::object out{
      {"node", context_.node.name}, {"at", iso_time(seen->now_ms)}, {"from", seen->cluster->state->cluster_version}};
  if (group != "upgrade") groups.push_back({"health", rollout::health(*seen)});
  if (group != "health" && to) {
    auto upgrade = co_await look_at_upgrade(context_, std::move(*seen), *runs_, notes_, *to, deadline);
    if (!upgrade) co_return std::unexpected(upgrade.error());
    out["to"] = *to;
    out["verdict"] = std::string(version::to_string(upgrade->verdict));
    // Those that are of both are told once.
    if (!groups.empty())
      std::erase_if(upgrade->checks, [&](const Check& check) {
        return std::ranges::find(groups.front().checks, check.id, &Check::id) != groups.front().checks.end();
      });
    groups.push_back({"upgrade", std::move(upgrade->checks)});
  }
  json::object counts{{"pass", 0}, {"warn", 0}, {"fail", 0}, {"unknown", 0}};
  for (const auto& each : groups)
    for (const auto& check : each.checks) ++counts[to_string(check.result)].as_int64();
  out["counts"] = std::move(counts);
  out["checks"] = checks_json(groups);
  out["took_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(context_.clock.steady_now() - began).count();
  co_return out;
}

Task<rollout::Observation> ChecksDesk::look(Deadline deadline) {
  auto [site, answer] =
      co_await both(look_at_site(context_, *cluster_, within(context_, deadline)),
                    ask_base_url(std::min<Deadline>(context_.clock.steady_now() + base_url_time_limit, deadline)));
  if (!site) co_return std::unexpected(site.error());
  auto facts = std::make_shared<rollout::Facts>(*site->facts);
  facts->base_url = std::move(answer->facts);
  if (!answer->node.empty()) facts->base_url->is_node = rollout::find_member(*site, answer->node) != nullptr;
  site->facts = std::move(facts);
  co_return std::move(*site);
}

Task<ChecksDesk::BaseUrlAnswer> ChecksDesk::ask_base_url(Deadline deadline) {
  BaseUrlAnswer answer;
  answer.facts.url = context_.config.base_url;
  if (answer.facts.url.empty()) co_return answer;
  http::ClientRequest request;
  request.url = answer.facts.url + "/health/arrival";
  auto response = co_await client_.send(std::move(request), deadline);
  if (!response) {
    answer.facts.problem = response.error().kind() == ErrorKind::deadline_exceeded ? "no answer within a second"
                                                                                   : response.error().message();
    co_return answer;
  }
  answer.node = response->headers.get("X-Afloat-Node");
  if (response->status == 503 && answer.node.empty())
    answer.facts.problem = "it answers 503, as a balancer does that has no node";
  if (response->status != 200) co_return answer;
  if (auto body = parse_json_object(*response->body, "the answer"); body && body->contains("forwarded"))
    answer.facts.forwarded = bool_or(*body, "forwarded");
  co_return answer;
}

}  // namespace afloat::server
