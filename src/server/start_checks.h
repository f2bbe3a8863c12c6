#pragma once
#include <memory>
#include <string>

#include "adapters/http/tls.h"
#include "ports/database.h"
#include "server/config.h"

/// What a node needs around it before it asks to be admitted. `afloat serve` asks at its start, and
/// `afloat selfcheck` on every host before an upgrade stops the first node. Every error says what to do.
namespace afloat::server {

/// Both folders can be written, by trying it: rights, read-only mounts and full disks look alike from afar.
/// Blocking; done before any coroutine runs. Errors: failed_precondition naming folder and cause.
Result<void> check_folders(const SiteConfig& site, const NodeConfig& node);

/// The certificate that the node serves HTTPS with; null for a node without. Blocking. Errors: as TlsIdentity::load.
Result<std::shared_ptr<http::TlsIdentity>> load_certificate(const NodeConfig& node);

/// The web files that this program was built with lie in `web`. Errors: not_found.
Result<void> check_web(const std::string& web);

/// Unknown keys stop a node, except while upgrade mode is on: then the file may have been written for the
/// newer version, and a rollback must work. Errors: invalid_argument with every key's own message.
Result<void> judge_unknown_keys(const SiteConfig& site, bool upgrade_mode);

/// What the database is like before this node has done anything to it.
struct DatabaseView {
  bool bootstrapped = false;     ///< some node has been here before
  bool upgrade_mode = false;
  bool has_attachments = false;  ///< so the shared home can't be empty
};
/// Errors: failed_precondition (encoding, rights), unavailable (away; with the code
/// database_refuses where waiting does not help: wrong password, no such database).
Task<DatabaseView> look_at_database(Database& database, Deadline deadline);

/// A shared home without a trace of this site, while the database knows of attachments, is a mount point whose
/// file system is not there: writing into it would hide them all. Errors: failed_precondition.
Result<void> check_shared_home(const SiteConfig& site, const DatabaseView& view);

}  // namespace afloat::server
