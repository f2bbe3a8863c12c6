#pragma once
#include <boost/json/fwd.hpp>
#include <string>

#include "cluster/model.h"
#include "server/config.h"

/// The cluster as REST and support zips tell it.
namespace afloat::server {

/// Where a node answers, as this node's copy of the site's configuration has it: the roster does not know who speaks TLS.
std::string node_url(const cluster::Member& member, const SiteConfig& site);
boost::json::object member_json(const cluster::Member& member, const SiteConfig& site);
/// State, phase, members and upgrade tasks: GET /rest/afloat/1/cluster.
boost::json::object cluster_json(const cluster::Snapshot& snapshot, const SiteConfig& site);

}  // namespace afloat::server
