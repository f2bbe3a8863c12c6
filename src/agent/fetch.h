#pragma once
#include <string>
#include <vector>

#include "agent/catalogue.h"
#include "version/index.h"

/// Releases from where they are published into the site's catalogue. Blocking. One at a time per catalogue.
namespace afloat::agent {

struct FetchSource {
  std::string from;       ///< folder, file:// or https:// address with index.json
  std::string catalogue;  ///< the site's
  std::string ca_file;    ///< PEM, for https; "" for the system's authorities
  std::vector<minisign::PublicKey> trusted;
};

/// The index that is offered: verified, not older than the one that was accepted last, and accepted: it now lies in
/// the catalogue. Errors: failed_precondition (no trusted keys, not signed by one of them, an older index),
/// data_corrupted, not_found, unavailable.
Result<version::ReleaseIndex> fetch_index(const FetchSource& source);

struct Fetched {
  CatalogueEntry entry;
  bool was_there = false;
};
/// One release of the index: manifest by the index's digest and its own signature, archive by the manifest's digest,
/// and every file in it. It appears in the catalogue whole or not at all. A download that was cut off goes on where it
/// stopped when it is tried again; what is found altered is removed.
/// Errors: not_found (not offered), failed_precondition, data_corrupted, unavailable.
Result<Fetched> fetch_release(const FetchSource& source, const version::ReleaseIndex& index,
                              const std::string& version);

struct IndexRequest {
  std::string catalogue;
  std::string date;               ///< now, as iso_time gives it
  std::int64_t unix_seconds = 0;  ///< now: serials rise even where the last index was lost
};
struct MadeIndex {
  version::ReleaseIndex index;
  std::vector<std::string> left_out;  ///< releases and why: "1.1.0: ..."
};
/// Makes and signs the index of a catalogue. Bundles that are damaged, not signed, or test builds are left out.
Result<MadeIndex> make_index(const IndexRequest& request, const minisign::SecretKey& key);

}  // namespace afloat::agent
