#include "server/rest/node_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "server/rest/cluster_json.h"

namespace afloat::server {

using namespace std::chrono_literals;

namespace {

constexpr const char* passed_on_by = "X-Afloat-Passed-On-By";
/// Left to the node that passes on, so that its answer is not late.
constexpr auto own_time = 500ms;

}  // namespace

NodeCalls::NodeCalls(Context& context, ClusterStore& cluster) : context_(context), cluster_(cluster) {
  client_.trust(context.config.tls_ca);
}

Task<http::Response> NodeCalls::pass_on(http::Request request, std::string name) {
  const auto& own = context_.node.name;
  if (request.headers.has(passed_on_by))
    co_return fail(
        ErrorKind::failed_precondition,
        fmt::format("{} passed this on to {} for {}, so the roster has a wrong address. Ask {} itself, at its "
                    "own address.",
                    request.headers.get(passed_on_by), own, name, name));
  auto snapshot = co_await cluster_.observe(request.deadline);
  if (!snapshot) co_return std::unexpected(snapshot.error());
  const auto member = std::ranges::find(snapshot->members, name, &cluster::Member::name);
  if (member == snapshot->members.end())
    co_return fail(ErrorKind::not_found,
                   fmt::format("No member of the cluster is called {}; `afloat nodes list` shows them.", name));
  if (!member->lease_live)
    co_return fail(ErrorKind::failed_precondition,
                   fmt::format("{} does not run, or has not been heard of for some seconds: there is nothing to drain "
                               "or to return. Start it, or remove it.",
                               name));
  http::ClientRequest onward;
  onward.method = request.method;
  onward.url = node_url(*member, context_.config) + request.target;
  for (const auto* header : {"Authorization", "Cookie", "X-Csrf-Token", "Content-Type"})
    if (request.headers.has(header)) onward.headers.set(header, std::string(request.headers.get(header)));
  onward.headers.set(passed_on_by, own);
  onward.body = request.body;
  auto answer = co_await client_.send(std::move(onward), request.deadline - own_time);
  // To drain or return twice is no harm, so whatever became of it may be tried again.
  if (!answer)
    co_return fail(ErrorKind::unavailable,
                   fmt::format("{} did not answer {}: {}. Try again, or ask {} itself at {}.", name, own,
                               answer.error().message(), name, node_url(*member, context_.config)));
  http::Response response = http::json_response(answer->status, *answer->body);
  co_return response;
}

}  // namespace afloat::server
