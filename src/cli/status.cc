#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/run_desk.h"
#include "cli/site_access.h"

namespace afloat::cli {

namespace json = boost::json;

namespace {

int say_error(const Error& error) {
  fmt::print(stderr, "afloat: {}\n", error.message());
  return 1;
}

int show_status(const SiteAccess& access, bool as_json) {
  auto body = access.call("GET", "/rest/afloat/1/cluster");
  if (!body) return say_error(body.error());
  if (as_json) {
    fmt::print("{}\n", *body);
    return 0;
  }
  auto cluster = parse_json_object(*body, "the cluster's state");
  if (!cluster) return say_error(cluster.error());
  fmt::print("{}: {}, cluster version {}\n", string_or(*cluster, "site"), string_or(*cluster, "phase"), string_or(*cluster, "clusterVersion"));
  if (auto message = string_or(*cluster, "message"); !message.empty()) fmt::print("  {}\n", message);
  fmt::print("\n{:<12} {:<12} {:<12} {:>6} {:>7} {:>6}\n", "node", "version", "state", "tasks", "users", "load");
  if (const auto* members = array_at(*cluster, "members"))
    for (const auto& value : *members) {
      const auto& m = value.as_object();
      fmt::print("{:<12} {:<12} {:<12} {:>6} {:>7} {:>5.0f}%\n", string_or(m, "name"), string_or(m, "version"), string_or(m, "state"),
                 int_or(m, "tasksRunning"), int_or(m, "activeUsers"), double_or(m, "load") * 100);
    }
  if (const auto* tasks = array_at(*cluster, "tasks"); tasks != nullptr && !tasks->empty()) {
    fmt::print("\n{:<34} {:<9} {:>16} {}\n", "upgrade task", "state", "rows", "note");
    for (const auto& value : *tasks) {
      const auto& t = value.as_object();
      fmt::print("{:<34} {:<9} {:>16} {}\n", string_or(t, "id"), string_or(t, "state"),
                 int_or(t, "total") > 0 ? fmt::format("{} of {}", int_or(t, "done"), int_or(t, "total")) : "", string_or(t, "error"));
    }
  }
  return 0;
}

// From the cluster's overview, which nodes of 1.0.0 answer too.
int list_nodes(const SiteAccess& access, bool as_json) {
  auto body = access.call("GET", "/rest/afloat/1/cluster");
  if (!body) return say_error(body.error());
  auto cluster = parse_json_object(*body, "the cluster's state");
  if (!cluster) return say_error(cluster.error());
  const auto* members = array_at(*cluster, "members");
  if (as_json) {
    fmt::print("{}\n", members ? json::serialize(json::object{{"results", *members}}) : "{\"results\":[]}");
    return 0;
  }
  fmt::print("{:<12} {:<10} {:<12} {:<12} {:<12} {}\n", "node", "id", "version", "state", "host", "address");
  if (members)
    for (const auto& value : *members) {
      const auto& m = value.as_object();
      fmt::print("{:<12} {:<10} {:<12} {:<12} {:<12} {}:{}\n", string_or(m, "name"), string_or(m, "id"), string_or(m, "version"),
                 string_or(m, "state"), string_or(m, "host"), string_or(m, "address"), int_or(m, "port"));
    }
  return 0;
}

int node_call(const SiteAccess& access, const std::string& verb, const std::string& name) {
  // drain and return are answered by the node itself, so its own address is asked, not the balancer's.
  auto body = access.call("GET", "/rest/afloat/1/cluster");
  if (!body) return say_error(body.error());
  auto cluster = parse_json_object(*body, "the cluster's state");
  if (!cluster) return say_error(cluster.error());
  SiteAccess node = access;
  bool found = false;
  if (const auto* members = array_at(*cluster, "members"))
    for (const auto& value : *members) {
      const auto& m = value.as_object();
      if (string_or(m, "name") != name) continue;
      found = true;
      // An older site does not tell it, and has no HTTPS.
      node.site = string_or(m, "url", fmt::format("http://{}:{}", string_or(m, "address"), int_or(m, "port")));
    }
  if (!found) return say_error(Error(ErrorKind::not_found, fmt::format("No member of the cluster is called {}; `afloat nodes list` shows them.", name)));
  if (verb == "remove") {
    auto removed = access.call("DELETE", "/rest/afloat/1/nodes/" + url_encode(name));
    if (!removed) return say_error(removed.error());
    fmt::print("{} is removed: its id can't come back. The host can, added anew.\n", name);
    return 0;
  }
  auto answer = node.call("POST", fmt::format("/rest/afloat/1/nodes/{}/{}", url_encode(name), verb));
  if (!answer) return say_error(answer.error());
  auto view = parse_json_object(*answer, "the node's answer");
  if (!view) return say_error(view.error());
  fmt::print("{}: {}, {} requests and {} streams in flight, {} tasks running{}\n", name, string_or(*view, "state"), int_or(*view, "inFlight"),
             int_or(*view, "streams"), int_or(*view, "tasksRunning"), bool_or(*view, "drained") ? ", drained" : "");
  return 0;
}

/// The run in charge takes this node back, whichever host it is on.
int roll_back(const SiteAccess& access, const std::string& name, const std::string& config) {
  auto body = access.call("GET", "/rest/afloat/1/cluster");
  if (!body) return say_error(body.error());
  auto cluster = parse_json_object(*body, "the cluster's state");
  if (!cluster) return say_error(cluster.error());
  const auto run = int_or(*cluster, "run");
  if (run == 0)
    return say_error(Error(ErrorKind::failed_precondition,
                           "No upgrade run is in charge, so nothing is rolled back. In an upgrade by hand, switch the node to the "
                           "old release as it was switched to the new one."));
  auto done = access.call("POST", fmt::format("/rest/afloat/1/runs/{}/rollback", run), json::serialize(json::object{{"node", name}}));
  if (!done && done.error().kind() == ErrorKind::not_found && !config.empty()) {
    // The node that answered is of an older release and does not know this.
    auto sent = RunDesk(config).send(RunDesk::Signal::rollback, run, name);
    if (!sent) return say_error(sent.error());
  } else if (!done) {
    return say_error(done.error());
  }
  fmt::print("Run {}: {} is to go back to the old release; the run pauses then. Follow it with `afloat upgrade status --watch`.\n", run, name);
  return 0;
}

}  // namespace

void add_status_commands(CLI::App& app, int& exit_code) {
  auto access = std::make_shared<SiteAccess>();
  auto as_json = std::make_shared<bool>(false);
  auto* status = app.add_subcommand("status", "Show the cluster: phase, nodes, upgrade tasks.");
  access->add_options(*status);
  status->add_flag("--json", *as_json, "As JSON");
  status->callback([access, as_json, &exit_code] { exit_code = show_status(*access, *as_json); });

  auto* nodes = app.add_subcommand("nodes", "Work with single nodes.");
  nodes->require_subcommand(1);
  auto list_access = std::make_shared<SiteAccess>();
  auto list_json = std::make_shared<bool>(false);
  auto* list = nodes->add_subcommand("list", "Show every member, lost and stopped ones too, until they are removed.");
  list_access->add_options(*list);
  list->add_flag("--json", *list_json, "As JSON");
  list->callback([list_access, list_json, &exit_code] { exit_code = list_nodes(*list_access, *list_json); });
  for (const char* verb : {"drain", "return", "remove"}) {
    auto name = std::make_shared<std::string>();
    auto* command = nodes->add_subcommand(verb, std::string(verb) == "drain"    ? "Let a node finish what it has and take nothing new."
                                                : std::string(verb) == "return" ? "Let a draining node serve again."
                                                                                : "Take a stopped node out of the roster for good.");
    access->add_options(*command);
    command->add_option("name", *name, "The node's name")->required();
    command->callback([access, name, verb = std::string(verb), &exit_code] { exit_code = node_call(*access, verb, *name); });
  }
  auto name = std::make_shared<std::string>();
  auto config = std::make_shared<std::string>();
  auto* rollback = nodes->add_subcommand("rollback", "Take one upgraded node back to the old release; the run pauses then.");
  access->add_options(*rollback);
  rollback->add_option("name", *name, "The node's name")->required();
  rollback->add_option("--config", *config, "The site's file, for a site whose nodes are too old to be asked")->envname("AFLOAT_CONFIG");
  rollback->callback([access, name, config, &exit_code] { exit_code = roll_back(*access, *name, *config); });
}

}  // namespace afloat::cli
