#include "adapters/agent/host_client.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::agent {
namespace {

namespace json = boost::json;

/// The agent names its error's kind; a status from elsewhere is mapped.
ErrorKind kind_from(const json::object& body, int status) {
  const std::string name = string_or(body, "kind");
  for (auto kind :
       {ErrorKind::invalid_argument, ErrorKind::unauthenticated, ErrorKind::permission_denied, ErrorKind::not_found,
        ErrorKind::conflict, ErrorKind::failed_precondition, ErrorKind::resource_exhausted, ErrorKind::unavailable,
        ErrorKind::deadline_exceeded, ErrorKind::data_corrupted}) {
    if (to_string(kind) == name) return kind;
  }
  if (status == 404) return ErrorKind::not_found;
  if (status == 409) return ErrorKind::conflict;
  return status == 503 ? ErrorKind::unavailable : ErrorKind::internal;
}

HostReport report_from(const json::object& body) {
  HostReport report;
  report.host = string_or(body, "host");
  report.agent_version = string_or(body, "agent_version");
  report.highest_epoch = int_or(body, "highest_epoch");
  report.epoch_holder = string_or(body, "epoch_holder");
  report.config_hash = string_or(body, "config_hash");
  if (const auto* releases = array_at(body, "releases")) {
    for (const auto& version : *releases) {
      if (version.is_string()) report.releases.emplace_back(version.as_string());
    }
  }
  if (const auto* digests = object_at(body, "digests")) {
    for (const auto& [version, digest] : *digests) {
      if (digest.is_string()) report.digests.emplace(version, digest.as_string());
    }
  }
  if (const auto* nodes = array_at(body, "nodes")) {
    for (const auto& entry : *nodes) {
      if (!entry.is_object()) continue;
      const auto& o = entry.as_object();
      HostNode node;
      node.name = string_or(o, "name");
      node.version = string_or(o, "version");
      node.running = bool_or(o, "running");
      node.incarnation = string_or(o, "incarnation");
      node.last_exit_code = static_cast<int>(int_or(o, "last_exit_code"));
      node.restarts = static_cast<int>(int_or(o, "restarts"));
      node.last_lines = string_or(o, "last_lines");
      node.wanted = bool_or(o, "wanted");
      report.nodes.push_back(std::move(node));
    }
  }
  return report;
}

/// The agent gives up a little before its caller does, so that the caller hears how it ended.
std::int64_t time_for_agent(Deadline deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return std::max<std::int64_t>(left.count() - std::min<std::int64_t>(500, left.count() / 10), 1);
}

class AgentHosts final : public NodeHost {
 public:
  AgentHosts(std::vector<AgentAddress> agents, http::Client& client) : agents_(std::move(agents)), client_(client) {}

  std::vector<std::string> hosts() const override {
    std::vector<std::string> names;
    for (const auto& agent : agents_) names.push_back(agent.host);
    return names;
  }

  Task<HostReport> announce(std::string host, LeaderLease lead, Deadline deadline) override {
    json::object body{{"epoch", lead.epoch}, {"holder", lead.holder}, {"timeout_ms", time_for_agent(deadline)}};
    auto answer = co_await call(std::move(host), "POST", "announce", json::serialize(body), deadline);
    if (!answer) co_return std::unexpected(answer.error());
    co_return report_from(*answer);
  }
  Task<HostReport> report(std::string host, Deadline deadline) override {
    auto answer = co_await call(std::move(host), "GET", "report", "", deadline);
    if (!answer) co_return std::unexpected(answer.error());
    co_return report_from(*answer);
  }
  Task<void> distribute(std::string host, std::string version, Order order, Deadline deadline) override {
    return command(std::move(host), "distribute", "", std::move(version), std::move(order), deadline);
  }
  Task<void> expand(std::string host, std::string node, std::string version, Order order, Deadline deadline) override {
    return command(std::move(host), "expand", std::move(node), std::move(version), std::move(order), deadline);
  }
  Task<void> stop(std::string host, std::string node, Order order, Deadline deadline) override {
    return command(std::move(host), "stop", std::move(node), "", std::move(order), deadline);
  }
  Task<void> switch_to(std::string host, std::string node, std::string version, Order order,
                       Deadline deadline) override {
    return command(std::move(host), "switch", std::move(node), std::move(version), std::move(order), deadline);
  }
  Task<void> start(std::string host, std::string node, Order order, Membership membership, Deadline deadline) override {
    return command(std::move(host), membership == Membership::lasting ? "start" : "start_ephemeral", std::move(node),
                   "", std::move(order), deadline);
  }

 private:
  Task<void> command(std::string host, std::string verb, std::string node, std::string version, Order order,
                     Deadline deadline) {
    json::object body{{"epoch", order.lead.epoch},
                      {"holder", order.lead.holder},
                      {"run", order.run},
                      {"step", order.step},
                      {"timeout_ms", time_for_agent(deadline)}};
    if (!node.empty()) body["node"] = node;
    if (!version.empty()) body["version"] = version;
    if (order.expected_incarnation) body["expected_incarnation"] = *order.expected_incarnation;
    auto answer = co_await call(std::move(host), "POST", std::move(verb), json::serialize(body), deadline);
    if (!answer) co_return std::unexpected(answer.error());
    co_return Result<void>{};
  }

  Task<json::object> call(std::string host, std::string method, std::string verb, std::string body, Deadline deadline) {
    http::ClientRequest request;
    for (const auto& agent : agents_) {
      if (agent.host != host) continue;
      request.url = agent.url.empty() ? "http://agent" : agent.url;
      if (agent.url.empty())
        request.unix_socket = agent.socket;
      else
        request.token_file = agent.token_file;
    }
    if (request.url.empty()) {
      co_return fail(ErrorKind::not_found,
                     fmt::format("The site's config has no host '{}'; it has: {}.", host, join(hosts(), ", ")));
    }
    request.method = std::move(method);
    request.url += "/agent/1/" + verb;
    request.body = std::move(body);
    if (!request.body.empty()) request.headers.set("Content-Type", "application/json");
    auto response = co_await client_.send(std::move(request), deadline);
    if (!response) {
      co_return fail(response.error().kind(), fmt::format("Agent of host {}: {}", host, response.error().message()));
    }
    auto parsed = parse_json_object(*response->body, fmt::format("the answer of host {}'s agent", host));
    if (response->status != 200) {
      const json::object fields = parsed ? *parsed : json::object{};
      co_return fail(kind_from(fields, response->status),
                     fmt::format("Agent of host {} on {}: {}", host, verb,
                                 string_or(fields, "message", fmt::format("status {}", response->status))),
                     string_or(fields, "code"));
    }
    if (!parsed) co_return std::unexpected(Error(ErrorKind::internal, parsed.error().message()));
    co_return std::move(*parsed);
  }

  const std::vector<AgentAddress> agents_;
  http::Client& client_;
};

}  // namespace

std::unique_ptr<NodeHost> make_agent_hosts(std::vector<AgentAddress> agents, http::Client& client) {
  return std::make_unique<AgentHosts>(std::move(agents), client);
}

}  // namespace afloat::agent
