#include "server/support.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "adapters/postgres/secrets.h"
#include "base/text.h"
#include "rollout/run_json.h"
#include "server/auth.h"
#include "server/checks_desk.h"
#include "server/log.h"
#include "server/rest/cluster_json.h"
#include "server/rest/events.h"
#include "server/rest/runs.h"
#include "store/cluster_store.h"
#include "store/health_store.h"
#include "store/run_store.h"

namespace afloat::server {

namespace json = boost::json;

namespace {

constexpr int runs_in_it = 5, events_in_it = 500;

class Support {
 public:
  explicit Support(Context& context)
      : context_(context),
        desk_(context),
        runs_(store::make_run_store(context.database)),
        cluster_(store::make_cluster_store(context.database, context.clock, context.timer)) {}

  Async<http::Response> zip(http::Request request) {
    auto admin = co_await context_.auth.require_administrator(request);
    if (!admin) co_return http::error_response(admin.error());
    const auto now = context_.clock.unix_ms();
    // A part that can't be had is told of in its own place: whoever is to help wants the others all the more.
    std::vector<SupportFile> files;
    files.push_back({"site.toml", config_without_secrets(context_.config), "the configuration, secrets left out"});
    const auto add = [&files](std::string path, std::string about, const auto& value) {
      files.push_back(
          {std::move(path),
           value ? json::serialize(*value) + "\n" : "It could not be had: " + value.error().message() + "\n",
           std::move(about)});
    };
    auto checks = co_await desk_.answer("", request.query_value("to"), request.deadline);
    if (!checks && checks.error().kind() == ErrorKind::invalid_argument) co_return http::error_response(checks.error());
    add("checks.json", "every check with its result", checks);
    Result<json::object> cluster;
    if (auto snapshot = co_await cluster_->observe(request.deadline))
      cluster = cluster_json(*snapshot, context_.config);
    else
      cluster = std::unexpected(snapshot.error());
    add("cluster.json", "phase, members and upgrade tasks", cluster);
    add("runs.json", "the last upgrade runs with their journals", co_await runs(request.deadline));
    Result<json::array> events;
    if (auto read = co_await store::read_events(context_.database, {.limit = events_in_it}, request.deadline))
      events = events_json(*read);
    else
      events = std::unexpected(read.error());
    add("events.json", "the audit log's last entries", events);
    const auto facts = co_await store::gather_facts(context_.database, request.deadline);
    for (const auto& [name, told] : facts.nodes)
      files.push_back({fmt::format("nodes/{}/facts.json", name), rollout::to_json(told) + "\n",
                       fmt::format("what it told of itself at {}", iso_time(told.at_ms))});
    if (facts.conductor)
      files.push_back({"conductor.json", rollout::to_json(*facts.conductor) + "\n",
                       fmt::format("hosts and balancer as it saw them at {}", iso_time(facts.conductor->at_ms))});
    files.push_back({fmt::format("nodes/{}/log", context_.node.name), last_log_lines(), "its last lines"});

    const auto secrets = postgres::secrets_of(context_.config.database);
    const auto head = fmt::format(
        "{}, made by {} ({}) at {}.\nPasswords and tokens are not in it; host names, user names "
        "and paths are. Nothing of what people wrote is.\n\n",
        context_.config.site_name, context_.node.name, context_.node.version, iso_time(now));
    Result<std::string> bytes;
    auto packed =
        co_await context_.offload([&] { bytes = files::zip_of(with_contents(head, files, secrets), now / 1000); });
    if (!packed) co_return http::error_response(packed.error());
    if (!bytes) co_return http::error_response(bytes.error());
    auto response = http::text_response(200, std::move(*bytes), "application/zip");
    response.headers.set("Content-Disposition", "attachment; filename=\"afloat-support.zip\"");
    response.headers.set("Cache-Control", "no-store");
    co_return response;
  }

 private:
  Task<json::array> runs(Deadline deadline) {
    auto listed = co_await runs_->list(runs_in_it, deadline);
    if (!listed) co_return std::unexpected(listed.error());
    json::array all;
    for (const auto& each : *listed) {
      auto run = co_await runs_->load(each.id, deadline);
      if (!run) co_return std::unexpected(run.error());
      all.push_back(rollout::run_json(*run));
    }
    co_return all;
  }

  Context& context_;
  ChecksDesk desk_;
  std::unique_ptr<RunStore> runs_;
  std::unique_ptr<ClusterStore> cluster_;
};

}  // namespace

void add_support_routes(http::Router& router, Context& context) {
  auto support = std::make_shared<Support>(context);
  router.add("GET", "/rest/afloat/1/support", [support](http::Request r) { return support->zip(std::move(r)); });
}

}  // namespace afloat::server
