#include "adapters/site/afloat_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::site {
namespace {

/// The kind that the caller should act on; a 5xx of Afloat is only sent for what was not carried out.
ErrorKind kind_of_status(int status) {
  switch (status) {
    case 400:
      return ErrorKind::invalid_argument;
    case 401:
      return ErrorKind::unauthenticated;
    case 403:
      return ErrorKind::permission_denied;
    case 404:
      return ErrorKind::not_found;
    case 409:
      return ErrorKind::conflict;
    case 502:
    case 503:
      return ErrorKind::unavailable;
    default:
      return ErrorKind::internal;
  }
}

/// Of the Prometheus text: the lines that say how a node does. What an old release does not tell stays unknown.
rollout::NodeSample sample_from(const std::string& text) {
  rollout::NodeSample sample;
  for (const auto& line : split(text, '\n')) {
    const auto space = line.rfind(' ');
    if (line.empty() || line[0] == '#' || space == std::string::npos) continue;
    const auto name = std::string_view(line).substr(0, space);
    const auto value = static_cast<std::int64_t>(std::strtod(line.c_str() + space + 1, nullptr));
    constexpr std::string_view bucket = "afloat_request_seconds_bucket{le=\"";
    if (name == "afloat_request_seconds_count") sample.requests = value;
    if (name == "afloat_responses_total{class=\"5xx\"}") sample.errors = value;
    if (name == "process_resident_memory_bytes") sample.memory_bytes = value;
    if (name == "process_open_fds") sample.descriptors = value;
    if (name == "process_max_fds") sample.descriptor_limit = value;
    if (name.starts_with(bucket) && !name.contains("+Inf"))
      sample.within_seconds[std::strtod(line.c_str() + bucket.size(), nullptr)] = value;
  }
  return sample;
}

class AfloatClient final : public SiteClient {
 public:
  AfloatClient(std::map<std::string, std::string> addresses, Credentials credentials, http::Client& client)
      : addresses_(std::move(addresses)), credentials_(std::move(credentials)), client_(client) {}

  Task<DrainStatus> drain(std::string node, Deadline deadline) override {
    return drain_call("POST", std::move(node), "drain", deadline);
  }
  Task<DrainStatus> drain_status(std::string node, Deadline deadline) override {
    return drain_call("GET", std::move(node), "drain", deadline);
  }
  Task<void> undrain(std::string node, Deadline deadline) override {
    auto status = co_await drain_call("POST", std::move(node), "return", deadline);
    if (!status) co_return std::unexpected(status.error());
    co_return Result<void>{};
  }

  Task<bool> ready(std::string node, Deadline deadline) override {
    auto address = address_of(node);
    if (!address) co_return std::unexpected(address.error());
    http::ClientRequest request;
    request.url = *address + "/health/ready";
    auto response = co_await client_.send(std::move(request), deadline);
    // Not listening yet is the usual case while a node starts, not a failure of the question.
    if (!response && response.error().kind() == ErrorKind::unavailable) co_return false;
    if (!response) co_return std::unexpected(response.error());
    co_return response->status == 200;
  }

  Task<rollout::NodeSample> metrics(std::string node, Deadline deadline) override {
    auto address = address_of(node);
    if (!address) co_return std::unexpected(address.error());
    http::ClientRequest request;
    request.url = *address + "/metrics";
    auto response = co_await client_.send(std::move(request), deadline);
    if (!response) co_return std::unexpected(response.error());
    if (response->status != 200)
      co_return fail(kind_of_status(response->status),
                     fmt::format("Node {} answered {} to /metrics.", node, response->status));
    co_return sample_from(*response->body);
  }

  Task<rollout::KnownAnswers> compare(std::string node, std::string other, Deadline deadline) override {
    rollout::KnownAnswers answers;
    auto listed = co_await read(other, "/rest/api/content?limit=25", deadline);
    if (!listed) co_return std::unexpected(listed.error());
    std::vector<std::string> ids;
    if (const auto* results = array_at(*listed, "results"))
      for (const auto& page : *results)
        if (page.is_object()) ids.push_back(string_or(page.get_object(), "id"));
    // A few at a time, others the next time.
    for (std::size_t i = 0; i < std::min(pages_at_a_time, ids.size()); ++i) {
      const auto path = fmt::format("/rest/api/content/{}?expand=body.storage,version", ids[next_page_++ % ids.size()]);
      auto theirs = co_await read(other, path, deadline);
      auto ours = co_await read(node, path, deadline);
      if (!theirs) co_return std::unexpected(theirs.error());
      if (!ours && ours.error().kind() != ErrorKind::not_found) co_return std::unexpected(ours.error());
      if (ours && version_of(*ours) != version_of(*theirs)) continue;  // somebody has just saved it
      ++answers.asked;
      if (ours && told_by(*ours) == told_by(*theirs)) continue;
      // It may have been saved or removed between the two reads.
      auto again = co_await read(other, path, deadline);
      if (!again || version_of(*again) != version_of(*theirs)) continue;
      ++answers.wrong;
      answers.example = ours ? fmt::format("{} differs from what {} says at version {}", path, other, version_of(*ours))
                             : fmt::format("{} is there on {}, and not on {}", path, other, node);
    }
    co_return answers;
  }

 private:
  static constexpr std::size_t pages_at_a_time = 3;

  static std::int64_t version_of(const boost::json::object& page) {
    const auto* version = object_at(page, "version");
    return version ? int_or(*version, "number") : 0;
  }
  static std::string told_by(const boost::json::object& page) {
    const auto* body = object_at(page, "body");
    const auto* storage = body ? object_at(*body, "storage") : nullptr;
    return string_or(page, "title") + '\n' + (storage ? string_or(*storage, "value") : "");
  }

  /// GET, as JSON.
  Task<boost::json::object> read(std::string node, std::string path, Deadline deadline) {
    auto address = address_of(node);
    if (!address) co_return std::unexpected(address.error());
    http::ClientRequest request;
    request.url = *address + path;
    request.user = credentials_.user;
    request.password = credentials_.password;
    request.headers.set("Accept", "application/json");
    auto response = co_await client_.send(std::move(request), deadline);
    if (!response) co_return std::unexpected(response.error());
    if (response->status != 200)
      co_return fail(kind_of_status(response->status),
                     fmt::format("Node {} answered {} to {}.", node, response->status, path));
    co_return parse_json_object(*response->body, fmt::format("the answer of node {}", node));
  }

  Result<std::string> address_of(const std::string& node) const {
    const auto found = addresses_.find(node);
    if (found != addresses_.end()) return found->second;
    std::vector<std::string> names;
    for (const auto& [name, address] : addresses_) names.push_back(name);
    return fail(ErrorKind::not_found,
                fmt::format("The site's config has no node '{}'; it has: {}.", node, join(names, ", ")));
  }

  Task<DrainStatus> drain_call(std::string method, std::string node, std::string verb, Deadline deadline) {
    auto address = address_of(node);
    if (!address) co_return std::unexpected(address.error());
    http::ClientRequest request;
    request.method = std::move(method);
    request.url = fmt::format("{}/rest/afloat/1/nodes/{}/{}", *address, url_encode(node), verb);
    request.user = credentials_.user;
    request.password = credentials_.password;
    request.headers.set("Accept", "application/json");
    if (request.method == "POST") {
      request.headers.set("Content-Type", "application/json");
      request.headers.set("X-Atlassian-Token", "no-check");
      request.body = verb == "drain" ? R"({"balanced": true})" : "{}";
    }
    auto response = co_await client_.send(std::move(request), deadline);
    if (!response) co_return std::unexpected(response.error());
    auto body = parse_json_object(*response->body, fmt::format("the answer of node {}", node));
    if (response->status != 200) {
      const std::string message = body ? string_or(*body, "message", *response->body) : *response->body;
      co_return fail(kind_of_status(response->status), fmt::format("Node {} answered {} to {}: {}", node,
                                                                   response->status, verb, message.substr(0, 500)));
    }
    if (!body) co_return std::unexpected(Error(ErrorKind::internal, body.error().message()));
    DrainStatus status;
    status.state = string_or(*body, "state");
    status.in_flight = static_cast<int>(int_or(*body, "inFlight"));
    status.streams = static_cast<int>(int_or(*body, "streams"));
    status.tasks_running = static_cast<int>(int_or(*body, "tasksRunning"));
    status.drained = bool_or(*body, "drained");
    if (const auto* overdue = array_at(*body, "overdue")) {
      for (const auto& name : *overdue) {
        if (name.is_string()) status.overdue.emplace_back(name.as_string());
      }
    }
    co_return status;
  }

  const std::map<std::string, std::string> addresses_;
  const Credentials credentials_;
  http::Client& client_;
  std::size_t next_page_ = 0;
};

}  // namespace

std::unique_ptr<SiteClient> make_site_client(std::map<std::string, std::string> addresses, Credentials credentials,
                                             http::Client& client) {
  return std::make_unique<AfloatClient>(std::move(addresses), std::move(credentials), client);
}

}  // namespace afloat::site
