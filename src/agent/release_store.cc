#include "agent/release_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "adapters/files/archive.h"
#include "agent/catalogue.h"
#include "base/hash.h"
#include "base/text.h"
#include "version/bundle_signature.h"
#include "version/version.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;

/// A binary packs to about a quarter; so four times the archive and some room for logs.
constexpr std::uint64_t space_factor = 5;
constexpr std::uint64_t space_reserve = 32'000'000;
constexpr std::uint64_t space_for_manifest = 1'000'000;  // manifest, signature, folders

/// Removes the folder unless it has been renamed into place.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { remove(); }
  void remove() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The disk was full in the middle, and what was unpacked is gone again: says how much is missing.
Error with_missing_space(const Error& error, const std::string& archive, const std::string& version,
                         const std::string& folder) {
  auto files = files::read_archive(archive);
  std::error_code ignored;
  const auto space = fs::space(folder, ignored);
  if (!files || ignored) return error;
  std::uint64_t needed = space_for_manifest;
  for (const auto& file : *files) needed += file.size;
  if (needed <= space.available)
    return Error(error.kind(),
                 fmt::format("{}. {} has {} free by now, and release {} unpacks to {}: try again.", error.message(),
                             folder, human_bytes(space.available), version, human_bytes(needed)));
  return Error(error.kind(), fmt::format("{}. Release {} unpacks to {} and {} has {} free: free {} more.",
                                         error.message(), version, human_bytes(needed), folder,
                                         human_bytes(space.available), human_bytes(needed - space.available)));
}

bool is_temporary(const std::string& name) {
  return name.find(".tmp-") != std::string::npos || name.find(".damaged-") != std::string::npos;
}

}  // namespace

std::string ReleaseStore::signature_path(const std::string& version) const {
  return fmt::format("{}/{}", path_of(version), version::signature_file);
}

ReleaseStore::ReleaseStore(std::string folder, std::string catalogue, std::function<bool(const std::string&)> in_use,
                           std::vector<minisign::PublicKey> trusted)
    : folder_(std::move(folder)),
      catalogue_(std::move(catalogue)),
      in_use_(std::move(in_use)),
      trusted_(std::move(trusted)) {}

Result<void> ReleaseStore::clean() {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fail(ErrorKind::internal, fmt::format("Can't make {}: {}", folder_, error.message()));
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (is_temporary(entry.path().filename().string())) fs::remove_all(entry.path(), error);
  }
  return {};
}

bool ReleaseStore::has(const std::string& version) const {
  std::error_code error;
  return version::parse_version(version) && fs::exists(path_of(version) + "/manifest.json", error);
}

std::vector<std::string> ReleaseStore::versions() const {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    if (!is_temporary(name) && has(name)) found.push_back(name);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return *version::parse_version(a) < *version::parse_version(b); });
  return found;
}

Result<void> ReleaseStore::verify(const std::string& version) const {
  if (!has(version))
    return fail(ErrorKind::not_found, fmt::format("Release {} is not unpacked on this host.", version));
  auto text = files::read_file(path_of(version) + "/manifest.json");
  if (!text) return std::unexpected(text.error());
  auto manifest = version::parse_manifest(*text);
  if (!manifest) return fail(ErrorKind::data_corrupted, manifest.error().message());
  if (!trusted_.empty()) {
    std::optional<std::string> signature;
    if (auto kept = files::read_file(signature_path(version)); kept)
      signature = std::move(*kept);
    auto key = version::check_signature({path_of(version), *text, *manifest, std::move(signature)}, trusted_);
    if (!key) return std::unexpected(key.error());
  }
  for (const auto& [path, digest] : manifest->files) {
    const std::string file = path_of(version) + "/" + path;
    auto found = files::sha256_of_file(file);
    if (!found || *found != digest) {
      return fail(ErrorKind::data_corrupted, fmt::format("{} is {}: release {} on this host is damaged.", file,
                                                         found ? "not what its manifest lists" : "missing", version));
    }
  }
  return {};
}

Result<void> ReleaseStore::distribute(const std::string& version) {
  auto entry = find_release(catalogue_, version);
  if (!entry) {
    // The catalogue may have been tidied since.
    if (entry.error().kind() == ErrorKind::not_found && has(version)) return verify(version);
    return std::unexpected(entry.error());
  }
  if (!trusted_.empty()) {
    if (auto key = signed_by(*entry, trusted_); !key) return std::unexpected(key.error());
  }
  const version::Manifest& manifest = entry->manifest;
  if (manifest.architecture != machine_architecture()) {
    return fail(ErrorKind::failed_precondition,
                fmt::format("Release {} is built for {}, this host is {}. Put a bundle for this architecture into the "
                            "catalogue.",
                            version, manifest.architecture, machine_architecture()));
  }
  for (const auto& [path, digest] : manifest.files) {
    if (!files::is_safe_path(path)) {
      return fail(ErrorKind::data_corrupted,
                  fmt::format("The manifest of {} lists a path outside: '{}'.", version, path));
    }
  }
  std::error_code error;
  if (has(version)) {
    auto digest = files::sha256_of_file(path_of(version) + "/manifest.json");
    if (!digest) return std::unexpected(digest.error());
    if (*digest != entry->digest) {
      return fail(
          ErrorKind::failed_precondition,
          fmt::format("Release {} is unpacked here with manifest {}, but the catalogue's has {}: two builds carry "
                      "one version. Give the newer one a version of its own.",
                      version, digest->substr(0, 12), entry->digest.substr(0, 12)));
    }
    if (entry->signature) {
      // It may have been signed since.
      auto kept = files::write_file_durably(signature_path(version), *entry->signature);
      if (!kept) return kept;
    }
    auto intact = verify(version);
    if (intact) return {};
    if (in_use_(version)) return intact;  // a node's files stay as they are; a person has to look
    fs::rename(path_of(version), path_of(version) + ".damaged-" + random_hex(4), error);
    if (error) return fail(ErrorKind::internal, fmt::format("Can't move {}: {}", path_of(version), error.message()));
  }

  const std::string archive = entry->folder + "/" + manifest.archive;
  auto archive_digest = files::sha256_of_file(archive);
  if (!archive_digest) return std::unexpected(archive_digest.error());
  if (*archive_digest != manifest.archive_sha256) {
    return fail(
        ErrorKind::data_corrupted,
        fmt::format("{} has SHA-256 {}, but its manifest says {}: truncated, damaged or replaced. Get the bundle "
                    "again.",
                    archive, archive_digest->substr(0, 12), manifest.archive_sha256.substr(0, 12)));
  }
  const auto space = fs::space(folder_, error);
  const std::uint64_t needed = entry->archive_bytes * space_factor + space_reserve;
  if (!error && space.available < needed) {
    return fail(ErrorKind::resource_exhausted,
                fmt::format("{} has {} free; unpacking release {} needs about {}. Free some space.", folder_,
                            human_bytes(space.available), version, human_bytes(needed)));
  }

  TemporaryFolder temporary(path_of(version) + ".tmp-" + random_hex(4));
  fs::create_directories(temporary.path(), error);
  if (error) return fail(ErrorKind::internal, fmt::format("Can't make {}: {}", temporary.path(), error.message()));
  auto unpacked = files::unpack_archive(archive, temporary.path());
  if (!unpacked && unpacked.error().kind() == ErrorKind::resource_exhausted) {
    temporary.remove();
    return std::unexpected(with_missing_space(unpacked.error(), archive, version, folder_));
  }
  if (!unpacked) return std::unexpected(unpacked.error());
  for (const auto& file : *unpacked) {
    const auto listed = manifest.files.find(file.path);
    if (listed == manifest.files.end() || listed->second != file.sha256) {
      return fail(ErrorKind::data_corrupted,
                  fmt::format("Release {}: '{}' in the archive is not what the manifest lists.", version, file.path));
    }
  }
  if (unpacked->size() != manifest.files.size()) {
    return fail(ErrorKind::data_corrupted,
                fmt::format("Release {}: the archive has {} of the {} files in its manifest.", version,
                            unpacked->size(), manifest.files.size()));
  }
  // The bytes that were checked, whatever lies in the catalogue by now.
  if (entry->signature) {
    auto kept = files::write_file_durably(fmt::format("{}/{}", temporary.path(), version::signature_file),
                                          *entry->signature);
    if (!kept) return kept;
  }
  auto written = files::write_file_durably(temporary.path() + "/manifest.json", entry->manifest_text);
  if (!written) return written;
  fs::rename(temporary.path(), path_of(version), error);
  if (error)
    return fail(ErrorKind::internal, fmt::format("Can't move release {} into place: {}", version, error.message()));
  return {};
}

}  // namespace afloat::agent
