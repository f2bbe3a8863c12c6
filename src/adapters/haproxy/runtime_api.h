#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "ports/load_balancer.h"

namespace afloat::haproxy {

/// HAProxy by its runtime API: a unix socket of level admin. Nodes are servers of `backend`, by name.
/// Give the servers `weight 100` so that slowstart is seen in percent: HAProxy rounds weights up.
/// `set` reads the state back: unavailable when HAProxy kept another one.
/// `added_server`: the options of a server that is added while it runs (HAProxy takes none from `default-server` for
/// it).
std::unique_ptr<LoadBalancer> make_haproxy(std::string socket, std::string backend, std::string added_server = "check");

/// From the answer of `show stat`. `weight` there is the effective one (slowstart), `uweight` the full one.
/// Errors: not_found naming the servers there are; data_corrupted when a column is missing.
Result<BackendView> parse_view(std::string_view stat, std::string_view backend, std::string_view node);

/// What was asked for by hand or by us, from the answer of `show servers state BACKEND`: the status of
/// `show stat` does not tell it for a server that is down.
Result<Traffic> parse_traffic(std::string_view servers, std::string_view node);

}  // namespace afloat::haproxy
