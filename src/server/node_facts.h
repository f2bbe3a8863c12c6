#pragma once
#include <chrono>
#include <map>
#include <string>

#include "adapters/http/tls.h"
#include "rollout/facts.h"
#include "server/config.h"
#include "server/findings.h"

namespace afloat::server {

/// What a node sees of itself and its host, for the checks (rollout/facts.h): limits, disks, the shared home, the
/// files of its release, its configuration. Its clock, which needs the database, is the caller's part.
///
/// Blocking, for as long as the file systems take; from one thread at a time. `site`, `node` and `findings` outlive it.
class NodeFactsReader {
 public:
  NodeFactsReader(const SiteConfig& site, const NodeConfig& node, const Findings& findings,
                  std::shared_ptr<http::TlsIdentity> tls);
  /// `database_ms`: the database's time, as the marker in the shared home.
  rollout::NodeFacts read(std::int64_t database_ms);

 private:
  void read_limits(rollout::NodeFacts* facts) const;
  void read_shared_home(rollout::NodeFacts* facts, std::int64_t database_ms) const;
  rollout::ReleaseFiles read_release();

  const SiteConfig& site_;
  const NodeConfig& node_;
  const Findings& findings_;
  std::shared_ptr<http::TlsIdentity> tls_;
  std::string bundle_;   ///< folder of the unpacked bundle, as it was when this program began
  bool looked_ = false;  ///< the first look leaves the release's files out: a node that starts has more urgent work
  /// By path: whether the file is as listed, and when and in which state it was read.
  struct Seen {
    std::string stamp;
    bool intact = false;
    std::chrono::steady_clock::time_point at;
  };
  std::map<std::string, Seen> seen_;
};

/// Free and whole size of the file system with that folder; a problem where it can't be told, or is read-only.
rollout::Disk disk_of(const std::string& folder);
/// Site-wide key -> digest of its value. Not of `database`, which holds a password and may differ by host.
std::map<std::string, std::string> digests_of_settings(const SiteConfig& site);

}  // namespace afloat::server
