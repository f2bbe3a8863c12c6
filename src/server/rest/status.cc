#include <boost/json.hpp>

#include "server/metrics.h"
#include "server/rest/node_routes.h"
#include "server/setup.h"

namespace afloat::server {

namespace json = boost::json;
using cluster::NodeState;

namespace {

struct Status {
  int code;
  std::string_view state;
};

// Unlike the vendor's, a starting or leaving node answers 503, so that balancers send nothing there.
Status status_of_node(const NodeControl& control) {
  switch (control.state()) {
    case NodeState::ACTIVE:
    case NodeState::RUNNING_FINALIZE_UPGRADE_TASKS:
    case NodeState::UPGRADE_TASKS_FAILED:
      return control.lease_valid() ? Status{200, "RUNNING"} : Status{503, "STARTING"};
    case NodeState::STARTING: return {503, "STARTING"};
    case NodeState::DRAINING:
    case NodeState::TERMINATING:
    case NodeState::OFFLINE: return {503, "STOPPING"};
    default: return {500, "ERROR"};
  }
}

Async<http::Response> status(Context* context, NodeControl* control, Deadline deadline) {
  auto [code, state] = status_of_node(*control);
  if (code == 200 && !context->set_up) {
    const auto set_up = co_await is_set_up(*context, deadline);
    if (set_up && !*set_up) state = "FIRST_RUN";
  }
  co_return http::json_response(code, json::serialize(json::object{{"state", state}}));
}

Async<http::Response> live() { co_return http::json_response(200, R"({"live":true})"); }

Async<http::Response> ready(Context* context, NodeControl* control, Deadline deadline) {
  std::string missing = control->not_ready_because();
  if (missing.empty()) {
    auto database = co_await context->database.read({"select 1 from cluster_state", {}}, deadline);
    if (!database) missing = database.error().message();
  }
  json::object body{{"ready", missing.empty()}, {"node", context->node.name}, {"version", context->node.version}};
  if (!missing.empty()) body["message"] = missing;
  co_return http::json_response(missing.empty() ? 200 : 503, json::serialize(body));
}

Async<http::Response> metrics(NodeControl* control) {
  co_return http::text_response(200, control->metrics_text(), "text/plain; version=0.0.4");
}

}  // namespace

void add_status_routes(http::Router& router, Context& context, NodeControl& control) {
  router.add("GET", "/status", [&context, &control](http::Request request) {
    context.metrics.status_asked_ms.store(context.clock.unix_ms(), std::memory_order_relaxed);
    return status(&context, &control, request.deadline);
  });
  router.add("GET", "/health/live", [](http::Request) { return live(); });
  router.add("GET", "/health/ready",
             [&context, &control](http::Request request) { return ready(&context, &control, request.deadline); });
  router.add("GET", "/metrics", [&control](http::Request) { return metrics(&control); });
}

}  // namespace afloat::server
