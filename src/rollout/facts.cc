#include "rollout/facts.h"

#include <boost/json.hpp>

#include "base/json_fields.h"

namespace afloat::rollout {
namespace {

namespace json = boost::json;

json::object disk_json(const Disk& disk) {
  return {{"free_bytes", disk.free_bytes}, {"total_bytes", disk.total_bytes}, {"problem", disk.problem}};
}

Disk disk_from(const json::object& facts, std::string_view field) {
  Disk disk;
  const auto* object = object_at(facts, field);
  if (!object) return disk;
  disk.free_bytes = int_or(*object, "free_bytes", -1);
  disk.total_bytes = int_or(*object, "total_bytes", -1);
  disk.problem = string_or(*object, "problem");
  return disk;
}

std::map<std::string, std::string> texts_from(const json::object& facts, std::string_view field) {
  std::map<std::string, std::string> texts;
  if (const auto* object = object_at(facts, field))
    for (const auto& [key, value] : *object)
      if (value.is_string()) texts.emplace(key, value.get_string());
  return texts;
}

std::optional<std::int64_t> maybe_int(const json::object& facts, std::string_view field) {
  const auto value = optional_int(facts, field);
  return value ? *value : std::nullopt;
}

json::object parsed(std::string_view text) {
  auto object = parse_json_object(text, "a report");
  return object ? std::move(*object) : json::object();
}

}  // namespace

std::string to_json(const NodeFacts& facts) {
  json::array findings;
  for (const auto& found : facts.findings)
    findings.push_back(json::object{
        {"check", found.check}, {"message", found.message}, {"count", found.count}, {"last_ms", found.last_ms}});
  json::object object{{"open_files", facts.open_files},
                      {"open_files_limit", facts.open_files_limit},
                      {"process_limit", facts.process_limit},
                      {"data", disk_json(facts.data)},
                      {"shared_home", disk_json(facts.shared_home)},
                      {"marker", facts.marker},
                      {"markers", json::value_from(facts.markers)},
                      {"release", json::object{{"in_bundle", facts.release.in_bundle},
                                               {"changed", json::value_from(facts.release.changed)},
                                               {"problem", facts.release.problem}}},
                      {"settings", json::value_from(facts.settings)},
                      {"tls", facts.tls},
                      {"findings", std::move(findings)}};
  if (facts.clock_off_ms) object["clock_off_ms"] = *facts.clock_off_ms;
  if (facts.status_asked_ago_ms) object["status_asked_ago_ms"] = *facts.status_asked_ago_ms;
  if (facts.certificate_end_ms) object["certificate_end_ms"] = *facts.certificate_end_ms;
  return json::serialize(object);
}

NodeFacts node_facts_from(std::string_view text) {
  const auto object = parsed(text);
  NodeFacts facts;
  facts.open_files = int_or(object, "open_files", -1);
  facts.open_files_limit = int_or(object, "open_files_limit", -1);
  facts.process_limit = int_or(object, "process_limit", -1);
  facts.data = disk_from(object, "data");
  facts.shared_home = disk_from(object, "shared_home");
  facts.marker = string_or(object, "marker");
  facts.markers = texts_from(object, "markers");
  facts.clock_off_ms = maybe_int(object, "clock_off_ms");
  facts.settings = texts_from(object, "settings");
  facts.tls = bool_or(object, "tls");
  facts.certificate_end_ms = maybe_int(object, "certificate_end_ms");
  facts.status_asked_ago_ms = maybe_int(object, "status_asked_ago_ms");
  if (const auto* release = object_at(object, "release")) {
    facts.release.in_bundle = bool_or(*release, "in_bundle");
    facts.release.problem = string_or(*release, "problem");
    if (const auto* changed = array_at(*release, "changed"))
      for (const auto& path : *changed)
        if (path.is_string()) facts.release.changed.emplace_back(path.get_string());
  } else {
    facts.release.problem = "it does not tell";
  }
  if (const auto* findings = array_at(object, "findings"))
    for (const auto& value : *findings)
      if (const auto* found = value.if_object())
        facts.findings.push_back({.check = string_or(*found, "check"),
                                  .message = string_or(*found, "message"),
                                  .count = int_or(*found, "count"),
                                  .last_ms = int_or(*found, "last_ms")});
  return facts;
}

std::string to_json(const ConductorFacts& facts) {
  json::object hosts, balancer;
  for (const auto& [name, host] : facts.hosts) {
    json::object nodes;
    for (const auto& [node, seen] : host.nodes)
      nodes[node] = json::object{{"version", seen.version}, {"running", seen.running}};
    hosts[name] = json::object{{"problem", host.problem},
                               {"agent_version", host.agent_version},
                               {"releases", json::value_from(host.releases)},
                               {"nodes", std::move(nodes)}};
  }
  for (const auto& [node, seen] : facts.balancer)
    balancer[node] = json::object{{"problem", seen.problem},
                                  {"status", seen.status},
                                  {"check", seen.check},
                                  {"weight", seen.weight},
                                  {"full_weight", seen.full_weight}};
  return json::serialize(json::object{{"hosts", std::move(hosts)}, {"balancer", std::move(balancer)}});
}

ConductorFacts conductor_facts_from(std::string_view text) {
  const auto object = parsed(text);
  ConductorFacts facts;
  if (const auto* hosts = object_at(object, "hosts"))
    for (const auto& [name, value] : *hosts)
      if (const auto* host = value.if_object()) {
        auto& seen = facts.hosts[name];
        seen.problem = string_or(*host, "problem");
        seen.agent_version = string_or(*host, "agent_version");
        seen.releases = texts_from(*host, "releases");
        if (const auto* nodes = object_at(*host, "nodes"))
          for (const auto& [node, fields] : *nodes)
            if (const auto* object = fields.if_object())
              seen.nodes[node] = {.version = string_or(*object, "version"), .running = bool_or(*object, "running")};
      }
  if (const auto* balancer = object_at(object, "balancer"))
    for (const auto& [node, value] : *balancer)
      if (const auto* seen = value.if_object())
        facts.balancer[node] = {.problem = string_or(*seen, "problem"),
                                .status = string_or(*seen, "status"),
                                .check = string_or(*seen, "check"),
                                .weight = static_cast<int>(int_or(*seen, "weight")),
                                .full_weight = static_cast<int>(int_or(*seen, "full_weight"))};
  return facts;
}

}  // namespace afloat::rollout
