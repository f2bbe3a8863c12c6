#pragma once
#include <string>
#include <vector>

#include "adapters/http/message.h"

namespace afloat::http {

/// Method and path pattern to handler. A pattern is made of literal segments,
/// `{name}` for one segment and `{name*}` for the rest. Literals win over captures.
/// A trailing slash of the request path is ignored. HEAD falls back to GET.
/// Filled at start, then only read; one per io_context.
class Router {
 public:
  void add(std::string method, std::string pattern, Handler handler);
  /// 404 or 405 (with Allow) where nothing matches. The captured values are URL-decoded.
  Async<Response> route(Request request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace afloat::http
