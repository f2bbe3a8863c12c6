#include "adapters/site/afloat_client.h"

#include <fmt/format.h>

#include <boost/json.hpp>

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

 private:
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
};

}  // namespace

std::unique_ptr<SiteClient> make_site_client(std::map<std::string, std::string> addresses, Credentials credentials,
                                             http::Client& client) {
  return std::make_unique<AfloatClient>(std::move(addresses), std::move(credentials), client);
}

}  // namespace afloat::site
