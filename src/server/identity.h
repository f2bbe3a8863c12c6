#pragma once
#include <string>

#include "base/error.h"

namespace afloat::server {

/// A node's lasting id, in its data folder, held by flock while the process runs: two processes can't be
/// one node. Made when the folder has none.
class NodeIdentity {
 public:
  /// Blocks for up to two seconds. Errors: failed_precondition when another process holds it all that time; unavailable when the folder can't be written.
  static Result<NodeIdentity> open(const std::string& data_folder);
  NodeIdentity(NodeIdentity&& other) noexcept;
  NodeIdentity& operator=(NodeIdentity&&) = delete;
  ~NodeIdentity();
  const std::string& id() const { return id_; }
  /// The next process that opens the folder gets a new id.
  void forget();

 private:
  NodeIdentity(int file, std::string id) : file_(file), id_(std::move(id)) {}
  int file_;
  std::string id_;
};

/// The secret that all nodes of a site share and the database does not know: 64 hex digits in
/// <shared_home>/site.key (mode 0600), made by the first node. Errors: unavailable when it can't be read or made.
Result<std::string> site_key(const std::string& shared_home);

/// What whoever sets the site up must know (pages/setup.cc): who can read the shared home may. 16 hex digits in
/// <shared_home>/setup-code (mode 0600), made by the first node that asks. Errors: as site_key().
Result<std::string> setup_code(const std::string& shared_home);
/// Once it is of no use any more. Nothing happens when there is none.
void forget_setup_code(const std::string& shared_home);

}  // namespace afloat::server
