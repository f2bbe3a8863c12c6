#pragma once
#include <map>
#include <memory>
#include <string>

#include "adapters/http/client.h"
#include "ports/site_client.h"

namespace afloat::site {

/// A system administrator's name and password, for basic authentication.
struct Credentials {
  std::string user;
  std::string password;
};

/// SiteClient over the nodes' REST. `addresses`: node name -> "http://127.0.0.1:8101", straight to the node.
/// `client` outlives the result.
std::unique_ptr<SiteClient> make_site_client(std::map<std::string, std::string> addresses, Credentials credentials,
                                             http::Client& client);

}  // namespace afloat::site
