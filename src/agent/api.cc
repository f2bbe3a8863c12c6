#include "agent/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/asio/runtime.h"
#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::agent {
namespace {

namespace json = boost::json;
constexpr std::int64_t default_timeout_ms = 30'000;
constexpr std::size_t log_bytes = 256 * 1024;  // of each node

http::Response error_answer(const Error& error, const LeaderLease& known) {
  // The client reads `kind`; unlike a node's, this API is asked by programs only, so an unknown outcome has a status.
  const int status = error.kind() == ErrorKind::deadline_exceeded ? 504 : http::status_of(error.kind());
  return http::json_response(status, json::serialize(json::object{{"statusCode", status},
                                                                  {"kind", to_string(error.kind())},
                                                                  {"code", error.code()},
                                                                  {"message", error.message()},
                                                                  {"epoch", known.epoch},
                                                                  {"holder", known.holder}}));
}

http::Response report_answer(const HostReport& report) {
  json::array nodes;
  for (const auto& node : report.nodes) {
    nodes.push_back(json::object{{"name", node.name},
                                 {"version", node.version},
                                 {"running", node.running},
                                 {"incarnation", node.incarnation},
                                 {"last_exit_code", node.last_exit_code},
                                 {"restarts", node.restarts},
                                 {"wanted", node.wanted},
                                 {"last_lines", node.last_lines}});
  }
  return http::json_response(200, json::serialize(json::object{{"host", report.host},
                                                               {"agent_version", report.agent_version},
                                                               {"highest_epoch", report.highest_epoch},
                                                               {"epoch_holder", report.epoch_holder},
                                                               {"config_hash", report.config_hash},
                                                               {"releases", json::value_from(report.releases)},
                                                               {"digests", json::value_from(report.digests)},
                                                               {"nodes", std::move(nodes)}}));
}

Result<AgentCommand> parse_command(const std::string& kind, const std::string& body) {
  auto fields = parse_json_object(body, "the request body");
  if (!fields) return std::unexpected(fields.error());
  AgentCommand command;
  command.kind = kind;
  auto epoch = required_int(*fields, "epoch");
  auto holder = required_string(*fields, "holder");
  auto run = optional_int(*fields, "run");
  auto step = optional_string(*fields, "step");
  auto node = optional_string(*fields, "node");
  auto version = optional_string(*fields, "version");
  auto timeout = optional_int(*fields, "timeout_ms");
  auto incarnation = optional_string(*fields, "expected_incarnation");
  if (!epoch) return std::unexpected(epoch.error());
  if (!holder) return std::unexpected(holder.error());
  if (!run) return std::unexpected(run.error());
  if (!timeout) return std::unexpected(timeout.error());
  for (const auto* text : {&step, &node, &version, &incarnation}) {
    if (!*text) return std::unexpected(text->error());
  }
  const bool needs_node = kind != "distribute" && kind != "announce";
  const bool needs_version = kind == "distribute" || kind == "switch" || kind == "expand";
  if (needs_node && !*node) return fail(ErrorKind::invalid_argument, fmt::format("'{}' needs a node.", kind));
  if (needs_version && !*version) return fail(ErrorKind::invalid_argument, fmt::format("'{}' needs a version.", kind));
  command.order.lead = {*epoch, *holder};
  command.order.run = run->value_or(0);
  command.order.step = step->value_or("");
  command.order.expected_incarnation = *incarnation;
  command.node = needs_node ? **node : "";
  command.version = needs_version ? **version : "";
  command.timeout_ms = std::clamp<std::int64_t>(timeout->value_or(default_timeout_ms), 0, 24 * 3'600'000);
  return command;
}

/// A member function, not a capturing lambda, is the coroutine: it outlives nothing that it uses.
class Api {
 public:
  Api(Agent& agent, boost::asio::thread_pool& pool) : agent_(agent), pool_(pool) {}

  Async<http::Response> report(http::Request) {
    auto result = std::make_shared<HostReport>();
    auto done = co_await offload(pool_, [this, result] { *result = agent_.report(); });
    co_return done ? report_answer(*result) : error_answer(done.error(), {});
  }

  Async<http::Response> logs(http::Request) {
    auto ends = std::make_shared<std::map<std::string, std::string>>();
    auto done = co_await offload(pool_, [this, ends] { *ends = agent_.logs(log_bytes); });
    if (!done) co_return error_answer(done.error(), {});
    json::object logs;
    for (const auto& [node, text] : *ends) logs[node] = as_utf8(text);
    co_return http::json_response(200, json::serialize(json::object{{"logs", std::move(logs)}}));
  }

  Async<http::Response> announce(http::Request request) {
    auto command = parse_command("announce", request.body);
    if (!command) co_return error_answer(command.error(), {});
    auto result = std::make_shared<Result<HostReport>>();
    auto done = co_await offload(pool_, [this, result, command = *command] {
      *result = agent_.announce(command.order.lead, std::chrono::milliseconds(command.timeout_ms));
    });
    if (!done) co_return error_answer(done.error(), {});
    if (!*result) co_return error_answer(result->error(), known());
    co_return report_answer(**result);
  }

  Async<http::Response> execute(std::string kind, http::Request request) {
    auto command = parse_command(kind, request.body);
    if (!command) co_return error_answer(command.error(), {});
    auto result = std::make_shared<Result<bool>>();
    auto done = co_await offload(pool_, [this, result, command = *command] { *result = agent_.execute(command); });
    if (!done) co_return error_answer(done.error(), {});
    if (!*result) co_return error_answer(result->error(), known());
    co_return http::json_response(200, json::serialize(json::object{{"done", true}, {"repeated", **result}}));
  }

 private:
  LeaderLease known() const { return agent_.leader(); }

  Agent& agent_;
  boost::asio::thread_pool& pool_;
};

}  // namespace

void add_agent_routes(http::Router& router, Agent& agent, boost::asio::thread_pool& pool) {
  auto api = std::make_shared<Api>(agent, pool);
  router.add("GET", "/agent/1/report", [api](http::Request request) { return api->report(std::move(request)); });
  router.add("GET", "/agent/1/logs", [api](http::Request request) { return api->logs(std::move(request)); });
  router.add("POST", "/agent/1/announce", [api](http::Request request) { return api->announce(std::move(request)); });
  for (const char* kind : {"distribute", "expand", "stop", "switch", "start", "start_ephemeral"}) {
    router.add("POST", std::string("/agent/1/") + kind,
               [api, kind](http::Request request) { return api->execute(kind, std::move(request)); });
  }
}

namespace {

Async<http::Response> check_and_route(std::shared_ptr<const http::Router> router, std::shared_ptr<http::TokenGuard> guard,
                                      http::Request request) {
  if (auto known = guard->check(request); !known) {
    auto refused = error_answer(known.error(), {});
    refused.headers.set("WWW-Authenticate", "Bearer");
    refused.close = true;
    co_return refused;
  }
  co_return co_await router->route(std::move(request));
}

}  // namespace

http::Handler guarded(std::shared_ptr<const http::Router> router, std::shared_ptr<http::TokenGuard> guard) {
  return [router = std::move(router), guard = std::move(guard)](http::Request request) {
    return check_and_route(router, guard, std::move(request));
  };
}

}  // namespace afloat::agent
