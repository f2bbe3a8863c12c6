#include "server/by_hand.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "adapters/files/releases.h"
#include "server/auth.h"
#include "server/rest/runs.h"
#include "store/cluster_store.h"
#include "version/path.h"
#include "version/version.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

/// Releases of the catalogue that one hop without downtime leads to, the newest first. Blocking.
std::vector<std::string> one_hop_targets(const std::string& catalogue, const version::Version& from) {
  std::vector<std::string> targets;
  const auto known = catalogue.empty()
                         ? std::vector<version::KnownRelease>()
                         : files::known_releases(catalogue).value_or(std::vector<version::KnownRelease>());
  auto releases = version::releases_of(known);
  std::ranges::sort(releases, [](const auto& a, const auto& b) { return b.version < a.version; });
  for (const auto& release : releases) {
    if (!(from < release.version)) continue;
    const auto path = version::find_path(version::policy_of(version::Product::afloat), from, release.version, releases);
    if (path.verdict == version::HopVerdict::rolling && path.hops.size() == 1 && path.missing.empty())
      targets.push_back(version::to_string(release.version));
  }
  return targets;
}

class ByHandDesk {
 public:
  explicit ByHandDesk(Context& context)
      : context_(context), cluster_(store::make_cluster_store(context.database, context.clock, context.timer)) {}

  Async<http::Response> show(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    auto snapshot = co_await cluster_->observe(request.deadline);
    if (!snapshot) co_return http::error_response(snapshot.error());
    if (!snapshot->state)
      co_return http::error_response(Error(ErrorKind::failed_precondition, "This site was never started."));
    const auto& state = *snapshot->state;
    const auto from = version::parse_version(state.cluster_version);
    if (!from) co_return http::error_response(from.error());
    // Once a node of another release has joined, the target is settled.
    std::vector<std::string> targets;
    for (const auto& member : snapshot->members)
      if (member.build != state.cluster_build && targets.empty()) targets.push_back(member.version);
    if (targets.empty()) {
      auto listed = co_await context_.offload([&] { targets = one_hop_targets(context_.config.catalogue, *from); });
      if (!listed) co_return http::error_response(listed.error());
    }
    const auto asked = request.query_value("to");
    if (asked && std::ranges::find(targets, *asked) == targets.end())
      co_return http::error_response(Error(
          ErrorKind::invalid_argument,
          fmt::format("No upgrade by hand leads from {} to \"{}\" now; GET /rest/afloat/1/by-hand lists the targets.",
                      state.cluster_version, *asked)));
    co_return http::json_response(
        200, json::serialize(answer(state.cluster_version,
                                    asked             ? *asked
                                    : targets.empty() ? ""
                                                      : targets.front(),
                                    targets, admin->user_name, std::string(request.headers.get("Host")))));
  }

 private:
  json::object answer(const std::string& from, const std::string& to, const std::vector<std::string>& targets,
                      const std::string& user, const std::string& host) const {
    const auto& site = context_.config;
    const auto url = site.base_url.empty() ? "http://" + host : site.base_url;
    auto obstacle = by_hand_obstacle(site);
    if (to.empty())
      obstacle = fmt::format(
          "The catalogue has no release that one hop without downtime leads to from {}. Put one into it, or fetch one "
          "with `afloat releases fetch`.",
          from);
    json::array nodes;
    for (const auto& node : site.nodes)
      nodes.push_back(json::object{{"name", node.name},
                                   {"host", node.host},
                                   {"forward", by_hand_replace(node.name)},
                                   {"back", by_hand_replace_back(node.name)}});
    return {{"from", from},
            {"to", to},
            {"targets", json::value_from(targets)},
            {"obstacle", obstacle},
            {"balancer", site.haproxy_socket},
            {"sign_in", by_hand_sign_in(user)},
            {"script", to.empty() ? "" : by_hand_script(site, {url, user, "", from, to, ""})},
            {"nodes", std::move(nodes)}};
  }

  Context& context_;
  std::unique_ptr<ClusterStore> cluster_;
};

}  // namespace

void add_by_hand_routes(http::Router& router, Context& context) {
  auto desk = std::make_shared<ByHandDesk>(context);
  router.add("GET", "/rest/afloat/1/by-hand", [desk](http::Request r) { return desk->show(std::move(r)); });
}

}  // namespace afloat::server
