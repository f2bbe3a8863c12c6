#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "adapters/files/releases.h"
#include "rollout/health.h"
#include "server/auth.h"
#include "server/checks_desk.h"
#include "server/rest/runs.h"
#include "server/upgrade_look.h"
#include "store/cluster_store.h"
#include "version/path.h"
#include "version/version.h"

namespace afloat::server {

namespace json = boost::json;
using rollout::CheckResult;

namespace {

/// 1.2.0 as "001.002.000".
std::string sortable(const version::Version& version) {
  return fmt::format("{:03}.{:03}.{:03}", version.major, version.minor, version.patch);
}

std::string operating_system() {
  utsname names{};
  return uname(&names) == 0 ? fmt::format("{} {}", names.sysname, names.release) : "";
}

/// How the vendor's health check grades: what could not be found out is not healthy either.
std::string_view severity_of(CheckResult result) {
  switch (result) {
    case CheckResult::pass:
      return "undefined";
    case CheckResult::unknown:
      return "minor";
    case CheckResult::warn:
      return "warning";
    case CheckResult::fail:
      break;
  }
  return "critical";
}

class Checks {
 public:
  explicit Checks(Context& context)
      : context_(context),
        desk_(context),
        cluster_(store::make_cluster_store(context.database, context.clock, context.timer)) {}

  Async<http::Response> list(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    auto answer = co_await desk_.answer(request.query_or("group", ""), request.query_value("to"), request.deadline);
    co_return answer ? http::json_response(200, json::serialize(*answer)) : http::error_response(answer.error());
  }

  Async<http::Response> vendor_health(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    auto seen = co_await desk_.look(request.deadline);
    if (!seen) co_return http::error_response(seen.error());
    json::array statuses;
    for (const auto& check : rollout::health(*seen)) {
      const bool healthy = check.result == CheckResult::pass;
      statuses.push_back(
          json::object{{"id", static_cast<std::int64_t>(statuses.size()) + 1},
                       {"completeKey", "afloat:" + check.id},
                       {"name", check.title},
                       {"description", check.why},
                       {"isHealthy", healthy},
                       {"healthy", healthy},
                       {"failureReason", healthy ? "" : fmt::format("{}. {}", check.found, check.action)},
                       {"application", "Afloat"},
                       {"nodeId", context_.node.id},
                       {"time", seen->now_ms},
                       {"severity", std::string(severity_of(check.result))},
                       {"documentation", rollout::link_of(check)},
                       {"tag", "health"},
                       {"additionalLinks", json::array{}},
                       {"isSoftLaunch", false},
                       {"softLaunch", false},
                       {"isEnabled", true},
                       {"enabled", true}});
    }
    co_return http::json_response(200, json::serialize(json::object{{"statuses", std::move(statuses)}}));
  }

  Async<http::Response> vendor_info(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    auto seen = co_await look_at_site(context_, *cluster_, ChecksDesk::within(context_, request.deadline));
    if (!seen) co_return http::error_response(seen.error());
    const auto& finalized_at = seen->cluster->state->cluster_version;
    const auto from = version::parse_version(finalized_at);
    if (!from) co_return http::error_response(from.error());
    json::array versions;
    auto listed = co_await context_.offload([&] { versions = versions_above(*from); });
    if (!listed) co_return http::error_response(listed.error());
    json::array modified;
    for (const auto& [node, facts] : seen->facts->nodes)
      for (const auto& path : facts.release.changed) modified.emplace_back(fmt::format("{}: {}", node, path));
    for (auto& entry : versions) entry.as_object()["modifiedFiles"] = modified;
    co_return http::json_response(
        200, json::serialize(json::object{{"versions", std::move(versions)},
                                          {"selectedVersion", nullptr},
                                          {"instanceData", json::object{{"platformId", "afloat"},
                                                                        {"fullName", "Afloat " + finalized_at},
                                                                        {"productDisplayName", "Afloat"},
                                                                        {"upgradeUrl", ""},
                                                                        {"releaseDate", 0},
                                                                        {"analyticsVersion", sortable(*from)},
                                                                        {"operatingSystem", operating_system()}}},
                                          {"stale", false}}));
  }

  static Async<http::Response> arrival(http::Request request) {
    co_return http::json_response(200,
                                  json::serialize(json::object{{"forwarded", request.headers.has("X-Forwarded-For")}}));
  }

 private:
  /// Releases of the catalogue that the site could go to. Blocking.
  json::array versions_above(const version::Version& from) const {
    json::array versions;
    if (context_.config.catalogue.empty()) return versions;
    const auto known = files::known_releases(context_.config.catalogue);
    if (!known) return versions;
    const auto releases = version::releases_of(*known);
    for (const auto& release : releases) {
      if (!(from < release.version)) continue;
      const auto path =
          version::find_path(version::policy_of(version::Product::afloat), from, release.version, releases);
      const auto name = version::to_string(release.version);
      json::array steps;
      for (const auto& hop : path.hops)
        steps.emplace_back(
            fmt::format("{}, {}", version::shown_stop(hop.to, hop.any), hop.rolls ? "rolling" : "with downtime"));
      versions.push_back(json::object{
          {"fullName", "Afloat " + name},
          {"shortName", name},
          {"analyticsVersion", sortable(release.version)},
          {"upgradeInstructionsUrl", "docs/upgrade-run.md"},
          {"installerUrl", ""},
          {"archiveUrl", ""},
          {"releaseDate", 0},
          {"releaseNotesUrl", ""},
          {"supportedPlatforms", json::array{}},
          {"upgradePath",
           json::array{json::object{{"analyticsKey", "path"},
                                    {"title", path.message},
                                    {"subSections", json::array{json::object{{"description", path.message},
                                                                             {"steps", std::move(steps)}}}}}}},
          {"isZduAvailable", path.verdict == version::HopVerdict::rolling && path.missing.empty()}});
    }
    return versions;
  }

  Context& context_;
  ChecksDesk desk_;
  std::unique_ptr<ClusterStore> cluster_;
};

}  // namespace

void add_check_routes(http::Router& router, Context& context) {
  auto checks = std::make_shared<Checks>(context);
  router.add("GET", "/health/arrival", [](http::Request request) { return Checks::arrival(std::move(request)); });
  router.add("GET", "/rest/afloat/1/checks", [checks](http::Request r) { return checks->list(std::move(r)); });
  router.add("GET", "/rest/troubleshooting/1.0/pre-upgrade/info",
             [checks](http::Request r) { return checks->vendor_info(std::move(r)); });
  router.add("GET", "/rest/troubleshooting/1.0/check",
             [checks](http::Request r) { return checks->vendor_health(std::move(r)); });
  router.add("GET", "/rest/supportHealthCheck/1.0/check",
             [checks](http::Request r) { return checks->vendor_health(std::move(r)); });
}

}  // namespace afloat::server
