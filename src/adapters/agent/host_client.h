#pragma once
#include <memory>
#include <string>
#include <vector>

#include "adapters/http/client.h"
#include "ports/hosts.h"

namespace afloat::agent {

struct AgentAddress {
  std::string host;    ///< name in the site's config
  std::string socket;  ///< unix socket of its agent
  std::string url = {};         ///< "https://host1:7443" is used instead of the socket; `client` must trust it
  std::string token_file = {};  ///< for url: see http::ClientRequest
};

/// NodeHost over the agents' API (POST /agent/1/...). `client` outlives the result.
/// Errors carry the agent's message; code "stale_epoch" when a newer leader is known there, and
/// "other_incarnation" when the node's process is not the expected one. unavailable: the agent is not there.
std::unique_ptr<NodeHost> make_agent_hosts(std::vector<AgentAddress> agents, http::Client& client);

}  // namespace afloat::agent
