#include "adapters/http/router.h"

#include <algorithm>

#include "base/text.h"

namespace afloat::http {

namespace {

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> out;
  for (auto& part : split(path, '/'))
    if (!part.empty()) out.push_back(std::move(part));
  return out;
}

// A parameter that can't be read must not count as one that was not sent: without its filter a list is another list.
bool query_is_text(std::string_view target) {
  const auto mark = target.find('?');
  if (mark == std::string_view::npos) return true;
  const auto decoded = url_decode(target.substr(mark + 1), true);
  return decoded && is_utf8(*decoded);
}

bool is_capture(std::string_view segment) { return segment.starts_with('{'); }
bool takes_rest(std::string_view segment) { return segment.ends_with("*}"); }

}  // namespace

void Router::add(std::string method, std::string pattern, Handler handler) {
  routes_.push_back({std::move(method), segments_of(pattern), std::move(handler)});
}

Async<Response> Router::route(Request request) const {
  // Split before decoding, so that an encoded slash stays inside its segment.
  const auto raw = segments_of(std::string_view(request.target).substr(0, request.target.find('?')));
  std::vector<std::string> path;
  for (const auto& segment : raw) {
    auto decoded = url_decode(segment, false);
    if (!decoded) co_return error_response(Error(ErrorKind::invalid_argument, "The address has a broken % escape."));
    if (!is_utf8(*decoded)) co_return error_response(Error(ErrorKind::invalid_argument, "The address is not UTF-8 text; encode it as UTF-8, then with % escapes."));
    path.push_back(std::move(*decoded));
  }
  if (!query_is_text(request.target))
    co_return error_response(Error(ErrorKind::invalid_argument, "The address's query is not UTF-8 text with whole % escapes; correct it."));
  const Route* best = nullptr;
  std::size_t best_literals = 0;
  std::vector<std::string> allowed;
  for (const auto& route : routes_) {
    const bool rest = !route.segments.empty() && takes_rest(route.segments.back());
    if (rest ? path.size() + 1 < route.segments.size() : path.size() != route.segments.size()) continue;
    std::size_t literals = 0;
    bool fits = true;
    for (std::size_t i = 0; i < route.segments.size() && fits; ++i) {
      if (is_capture(route.segments[i])) continue;
      fits = route.segments[i] == path[i];
      ++literals;
    }
    if (!fits) continue;
    if (route.method != request.method && !(request.method == "HEAD" && route.method == "GET")) {
      allowed.push_back(route.method);
      continue;
    }
    if (best == nullptr || literals > best_literals) {
      best = &route;
      best_literals = literals;
    }
  }
  if (best == nullptr && !allowed.empty()) {
    Response response = json_response(405, R"({"statusCode":405,"message":"This address does not take that method; see the Allow header."})");
    std::ranges::sort(allowed);
    allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
    response.headers.set("Allow", join(allowed, ", "));
    co_return response;
  }
  if (best == nullptr)
    co_return error_response(Error(ErrorKind::not_found, "There is nothing at " + request.path.substr(0, 300) + "."));
  for (std::size_t i = 0; i < best->segments.size(); ++i) {
    const std::string& segment = best->segments[i];
    if (!is_capture(segment)) continue;
    if (takes_rest(segment)) {
      std::vector<std::string> rest(path.begin() + static_cast<std::ptrdiff_t>(i), path.end());
      request.captures.emplace_back(segment.substr(1, segment.size() - 3), join(rest, "/"));
    } else {
      request.captures.emplace_back(segment.substr(1, segment.size() - 2), path[i]);
    }
  }
  co_return co_await best->handler(std::move(request));
}

}  // namespace afloat::http
