#include "server/settings.h"

#include <fmt/format.h>

#include "adapters/postgres/secrets.h"
#include "base/text.h"

namespace afloat::server {
namespace {

std::string ms(std::int64_t value) { return fmt::format("{} ms", value); }

std::string keys_of(const SiteConfig& site) {
  std::vector<std::string> ids;
  for (const auto& key : site.trusted_keys) ids.push_back(minisign::shown_id(key.id));
  return join(ids, ", ");
}

}  // namespace

std::vector<Setting> settings_of(const SiteConfig& site) {
  constexpr std::string_view wiki = "Site", data = "Data", front = "In front of the nodes", upgrades = "Upgrades",
                             limits = "Limits and times";
  return {
      {wiki, "site_name", site.site_name, "Stands at the top of every page."},
      {wiki, "base_url", site.base_url, "What users type: the balancer's address. Links in answers begin with it."},
      {wiki, "edition", site.edition, "data-center may be clustered and rolled; single-node may not."},
      {data, "database", postgres::without_secrets(site.database), "Where PostgreSQL is; its password is not shown."},
      {data, "shared_home", site.shared_home, "Attachments and assets; the same file system on every host."},
      {front, "haproxy_socket", site.haproxy_socket, "HAProxy's runtime API, for the conductor."},
      {front, "haproxy_backend", site.haproxy_backend, "The nodes' backend in HAProxy."},
      {front, "tls_ca", site.tls_ca,
       "Who signs the certificates of nodes and agents. Not given: the system's authorities."},
      {upgrades, "catalogue", site.catalogue, "Folder of the releases that the site can go to."},
      {upgrades, "trusted_keys", keys_of(site), "Whose releases are taken. Not given: any, signed or not."},
      {limits, "max_body_bytes",
       fmt::format("{} ({})", site.max_body_bytes, human_bytes(static_cast<std::uint64_t>(site.max_body_bytes))),
       "The largest upload."},
      {limits, "header_timeout_ms", ms(site.header_timeout_ms), "How long a request's head may take to arrive."},
      {limits, "request_timeout_ms", ms(site.request_timeout_ms), "When a request must have been answered."},
      {limits, "idle_timeout_ms", ms(site.idle_timeout_ms),
       "An idle connection is kept this long; above the balancer's."},
      {limits, "drain_timeout_ms", ms(site.drain_timeout_ms),
       "How long a node that stops waits for what it still has."},
      {limits, "drain_linger_ms", ms(site.drain_linger_ms),
       "How long a stopping node serves on until every balancer has noticed."},
      {limits, "write_connections", std::to_string(site.write_connections),
       "Connections to the database that write, per node."},
      {limits, "log_level", site.log_level, "How much the nodes log."},
  };
}

}  // namespace afloat::server
