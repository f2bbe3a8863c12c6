#pragma once
#include <string>
#include <vector>

#include "version/index.h"

/// What a catalogue folder tells of releases, for those who only read it. Blocking; reentrant.
namespace afloat::files {

/// The manifests in it that can be read, and what the index that was accepted last offers beside them.
/// Errors: not_found when there is no such folder.
Result<std::vector<version::KnownRelease>> known_releases(const std::string& catalogue);

/// The index that lies in the folder. Errors: not_found, data_corrupted. Its signature was verified when it was
/// accepted.
Result<version::ReleaseIndex> accepted_index(const std::string& catalogue);

}  // namespace afloat::files
