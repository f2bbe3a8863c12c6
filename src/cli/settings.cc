#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <functional>
#include <memory>

#include "base/json_fields.h"
#include "cli/commands.h"
#include "cli/site_access.h"

/// `afloat settings` and `afloat hosts`: what a site is made of, as it says itself.
namespace afloat::cli {
namespace {

namespace json = boost::json;

void each_object(const json::object& in, std::string_view field, const std::function<void(const json::object&)>& show) {
  if (const auto* values = array_at(in, field))
    for (const auto& value : *values)
      if (value.is_object()) show(value.get_object());
}

void show_settings(const json::object& answer) {
  fmt::print("As {} has them, from {}\n", string_or(answer, "node"), string_or(answer, "file"));
  std::string group;
  each_object(answer, "settings", [&](const json::object& each) {
    if (const auto next = string_or(each, "group"); next != group) fmt::print("\n{}\n", group = next);
    const auto value = string_or(each, "value");
    fmt::print("  {:<20} {}\n", string_or(each, "key"), value.empty() ? "-" : value);
  });
  fmt::print("\n{:<12} {}\n", "node", "configuration");
  each_object(answer, "nodes", [&](const json::object& node) {
    std::string differs;
    if (const auto* keys = array_at(node, "differs"))
      for (const auto& key : *keys)
        if (key.is_string()) differs += (differs.empty() ? "" : ", ") + std::string(key.get_string());
    fmt::print(
        "{:<12} {}{}\n", string_or(node, "name"),
        bool_or(node, "sameFile") ? "the same file" : "another file " + string_or(node, "configHash").substr(0, 12),
        differs.empty() ? "" : ", other values: " + differs);
  });
}

void show_hosts(const json::object& answer) {
  const auto holder = string_or(answer, "conductor");
  fmt::print("Conductor: {}\n", holder.empty() ? "none is at work" : holder);
  if (const auto declined = string_or(answer, "declined"); !declined.empty()) fmt::print("  {}\n", declined);
  const auto* hosts = array_at(answer, "hosts");
  if (!hosts || hosts->empty()) return;
  fmt::print("\nAs it saw them at {} UTC\n{:<16} {:<12} {}\n", string_or(answer, "at").substr(0, 19), "host", "agent",
             "nodes");
  each_object(answer, "hosts", [](const json::object& host) {
    std::string nodes;
    each_object(host, "nodes", [&](const json::object& node) {
      nodes += fmt::format("{}{} {}{}", nodes.empty() ? "" : ", ", string_or(node, "name"), string_or(node, "version"),
                           bool_or(node, "running") ? "" : " (stopped)");
    });
    const auto problem = string_or(host, "problem");
    fmt::print("{:<16} {:<12} {}\n", string_or(host, "name"), string_or(host, "agentVersion"),
               problem.empty() ? nodes : problem);
  });
}

void add(CLI::App& app, int& exit_code, const char* name, const char* about,
         std::function<void(const json::object&)> show) {
  struct Options {
    SiteAccess access;
    bool as_json = false;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(name, about);
  options->access.add_options(*command);
  command->add_flag("--json", options->as_json, "As REST gives it");
  command->callback([options, path = fmt::format("/rest/afloat/1/{}", name), show = std::move(show), &exit_code] {
    auto body = options->access.call("GET", path);
    auto answer =
        body ? parse_json_object(*body, "the site's answer") : Result<json::object>(std::unexpected(body.error()));
    if (!answer) {
      fmt::print(stderr, "afloat: {}\n", answer.error().message());
      exit_code = 1;
    } else if (options->as_json) {
      fmt::print("{}\n", *body);
    } else {
      show(*answer);
    }
  });
}

}  // namespace

void add_settings_commands(CLI::App& app, int& exit_code) {
  add(app, exit_code, "settings", "What of site.toml is in force, without passwords", show_settings);
  add(app, exit_code, "hosts", "Who conducts, and the hosts as the conductor sees them", show_hosts);
}

}  // namespace afloat::cli
