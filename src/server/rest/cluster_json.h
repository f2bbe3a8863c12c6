#pragma once
#include <boost/json/fwd.hpp>
#include <cstdint>

#include "cluster/model.h"
#include "ports/database.h"
#include "server/config.h"

/// The cluster as REST and support zips tell it.
namespace afloat::server {

boost::json::object member_json(const cluster::Member& member, const SiteConfig& site);
/// State, phase, members and upgrade tasks: GET /rest/afloat/1/cluster.
boost::json::object cluster_json(const cluster::Snapshot& snapshot, const SiteConfig& site);
/// The audit log, newest first.
Task<boost::json::array> events_json(Database& database, std::int64_t limit, Deadline deadline);

}  // namespace afloat::server
