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
    auto listed = co_await some_pages(other, deadline);
    if (!listed) co_return std::unexpected(listed.error());
    const auto& ids = *listed;
    // A few at a time, others the next time.
    for (std::size_t i = 0; i < std::min(pages_at_a_time, ids.size()); ++i) {
      const auto path = known_page(ids);
      auto theirs = co_await read(other, path, deadline);
      auto ours = co_await read(node, path, deadline);
      if (!theirs) co_return std::unexpected(theirs.error());
      if (!ours && ours.error().kind() != ErrorKind::not_found) co_return std::unexpected(ours.error());
      answers += co_await judge({.node = node, .other = other, .path = path}, ours, *theirs, deadline);
    }
    co_return answers;
  }

  Task<rollout::TrialReads> try_out(std::string node, std::string other, Deadline deadline) override {
    rollout::TrialReads reads;
    auto ids = co_await some_pages(other, deadline);
    if (!ids) co_return std::unexpected(ids.error());
    if (auto space = co_await some_space(other, deadline)) co_await try_writes(node, *space, reads, deadline);
    for (std::size_t i = 0; i < reads_at_a_time && std::chrono::steady_clock::now() < deadline; ++i) {
      const Pair pair{.node = node, .other = other, .path = trial_path(i, *ids)};
      auto theirs = co_await timed(other, pair.path, deadline);
      auto ours = co_await timed(node, pair.path, deadline);
      for (const auto* said : {&theirs, &ours})
        if (said->answer && (said->answer->status == 401 || said->answer->status == 403))
          co_return fail(ErrorKind::unauthenticated,
                         fmt::format("{} was answered with {}: the conductor's user may not read the site's pages",
                                     pair.path, said->answer->status));
      reads.other_ms.push_back(theirs.ms);
      reads.ms.push_back(ours.ms);
      if (theirs.failed()) ++reads.other_failed;
      if (ours.failed()) ++reads.failed;
      if (ours.failed() && reads.example.empty()) reads.example = fmt::format("{}: {}", pair.path, ours.words());
      if (theirs.failed() || ours.failed() || !pair.path.starts_with(content_path)) continue;
      auto their_page = page_of(theirs), our_page = page_of(ours);
      if (!their_page) continue;  // removed meanwhile
      reads.known += co_await judge(pair, our_page, *their_page, deadline);
    }
    co_return reads;
  }

 private:
  static constexpr std::size_t pages_at_a_time = 3, reads_at_a_time = 30, writes_at_a_time = 10;
  static constexpr std::string_view content_path = "/rest/api/content/";

  struct Pair {
    std::string node, other, path;
  };
  struct Timed {
    Result<http::Response> answer;
    double ms = 0;
    bool failed() const { return !answer || answer->status >= 500; }
    std::string words() const { return answer ? fmt::format("answered {}", answer->status) : answer.error().message(); }
  };

  /// Drafts of the conductor's user, of a new page below one that can't be: content that goes the whole way to the
  /// database, and that no form ever offers to anybody.
  Async<void> try_writes(std::string node, std::string space, rollout::TrialReads& reads, Deadline deadline) {
    const auto path = fmt::format("/drafts/spaces/{}?parent=-1", url_encode(space));
    for (std::size_t i = 0; i < writes_at_a_time && std::chrono::steady_clock::now() < deadline; ++i) {
      const auto said = co_await timed_write("PUT", node, path, deadline);
      if (said.answer && said.answer->status < 500 && said.answer->status != 200) co_return;  // it has no drafts
      ++reads.writes;
      if (!said.failed()) continue;
      ++reads.writes_failed;
      if (reads.write_example.empty()) reads.write_example = fmt::format("a draft: {}", said.words());
    }
    (void)co_await timed_write("DELETE", node, path, deadline);
  }

  std::string known_page(const std::vector<std::string>& ids) {
    return fmt::format("{}{}?expand=body.storage,version", content_path, ids[next_page_++ % ids.size()]);
  }
  /// Of every kind of reading that there is on a site, also on one without a page.
  std::string trial_path(std::size_t turn, const std::vector<std::string>& ids) {
    static constexpr std::string_view always[] = {"/login", "/", "/rest/api/space?limit=25",
                                                  "/rest/api/content?limit=25", "/search?q=a"};
    if (turn % 3 == 0 || ids.empty()) return std::string(always[turn / 3 % std::size(always)]);
    if (turn % 3 == 1) return known_page(ids);
    return "/pages/" + ids[next_page_ % ids.size()];
  }

  /// The key of one; not_found on a site that has none.
  Task<std::string> some_space(std::string node, Deadline deadline) {
    auto listed = co_await read(std::move(node), "/rest/api/space?limit=1", deadline);
    if (!listed) co_return std::unexpected(listed.error());
    if (const auto* results = array_at(*listed, "results"))
      for (const auto& space : *results)
        if (space.is_object()) co_return string_or(space.get_object(), "key");
    co_return fail(ErrorKind::not_found, "The site has no space.");
  }
  Task<std::vector<std::string>> some_pages(std::string node, Deadline deadline) {
    auto listed = co_await read(std::move(node), "/rest/api/content?limit=25", deadline);
    if (!listed) co_return std::unexpected(listed.error());
    std::vector<std::string> ids;
    if (const auto* results = array_at(*listed, "results"))
      for (const auto& page : *results)
        if (page.is_object()) ids.push_back(string_or(page.get_object(), "id"));
    co_return ids;
  }

  /// Two answers to the same question. `ours`: an error where the node does not know the page.
  Async<rollout::KnownAnswers> judge(Pair pair, Result<boost::json::object> ours, boost::json::object theirs,
                                     Deadline deadline) {
    if (ours && version_of(*ours) != version_of(theirs)) co_return rollout::KnownAnswers{};  // just saved by somebody
    rollout::KnownAnswers answers{.asked = 1, .wrong = 0, .example = {}};
    if (ours && told_by(*ours) == told_by(theirs)) co_return answers;
    // It may have been saved or removed between the two reads.
    auto again = co_await read(pair.other, pair.path, deadline);
    if (!again || version_of(*again) != version_of(theirs)) co_return answers;
    answers.wrong = 1;
    answers.example =
        ours ? fmt::format("{} differs from what {} says at version {}", pair.path, pair.other, version_of(*ours))
             : fmt::format("{} is there on {}, and not on {}", pair.path, pair.other, pair.node);
    co_return answers;
  }

  static std::int64_t version_of(const boost::json::object& page) {
    const auto* version = object_at(page, "version");
    return version ? int_or(*version, "number") : 0;
  }
  static std::string told_by(const boost::json::object& page) {
    const auto* body = object_at(page, "body");
    const auto* storage = body ? object_at(*body, "storage") : nullptr;
    return string_or(page, "title") + '\n' + (storage ? string_or(*storage, "value") : "");
  }

  Result<http::ClientRequest> request_to(const std::string& node, std::string_view method, const std::string& path) {
    auto address = address_of(node);
    if (!address) return std::unexpected(address.error());
    http::ClientRequest request;
    request.method = method;
    request.url = *address + path;
    request.user = credentials_.user;
    request.password = credentials_.password;
    if (path.starts_with("/rest/")) request.headers.set("Accept", "application/json");
    if (method == "GET") return request;
    request.headers.set("Content-Type", "application/json");
    request.headers.set("X-Atlassian-Token", "no-check");
    return request;
  }
  Task<http::Response> get(std::string node, std::string path, Deadline deadline) {
    auto request = request_to(node, "GET", path);
    if (!request) co_return std::unexpected(request.error());
    co_return co_await client_.send(std::move(*request), deadline);
  }

  Async<Timed> timed(std::string node, std::string path, Deadline deadline) {
    const auto begun = std::chrono::steady_clock::now();
    auto answer = co_await get(std::move(node), std::move(path), std::min(deadline, begun + std::chrono::seconds(2)));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
    co_return Timed{std::move(answer), took.count()};
  }
  Async<Timed> timed_write(std::string method, std::string node, std::string path, Deadline deadline) {
    auto request = request_to(node, method, path);
    if (!request) co_return Timed{std::unexpected(request.error())};
    if (method == "PUT") request->body = R"({"title":"A trial of this node","body":"<p>trial</p>","version":0})";
    const auto limit = std::min(deadline, std::chrono::steady_clock::now() + std::chrono::seconds(2));
    co_return Timed{co_await client_.send(std::move(*request), limit)};
  }
  static Result<boost::json::object> page_of(const Timed& timed) {
    if (timed.answer->status != 200) return fail(ErrorKind::not_found, timed.words());
    return parse_json_object(*timed.answer->body, "the answer of a node");
  }

  /// GET, as JSON.
  Task<boost::json::object> read(std::string node, std::string path, Deadline deadline) {
    auto response = co_await get(node, path, deadline);
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
    auto request = request_to(node, method, fmt::format("/rest/afloat/1/nodes/{}/{}", url_encode(node), verb));
    if (!request) co_return std::unexpected(request.error());
    if (method == "POST") request->body = verb == "drain" ? R"({"balanced": true})" : "{}";
    auto response = co_await client_.send(std::move(*request), deadline);
    if (!response) co_return std::unexpected(response.error());
    auto body = parse_json_object(*response->body, fmt::format("the answer of node {}", node));
    if (response->status != 200) {
      const std::string message = body ? string_or(*body, "message", *response->body) : *response->body;
      // A node that is to go because it fails some of its requests fails some of these, too: asked again, it obeys.
      const auto kind = response->status >= 500 ? ErrorKind::unavailable : kind_of_status(response->status);
      co_return fail(
          kind, fmt::format("Node {} answered {} to {}: {}", node, response->status, verb, message.substr(0, 500)));
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
