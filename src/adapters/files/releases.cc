#include "adapters/files/releases.h"

#include <fmt/format.h>

#include <filesystem>

#include "adapters/files/archive.h"

namespace afloat::files {

namespace fs = std::filesystem;

Result<version::ReleaseIndex> accepted_index(const std::string& catalogue) {
  auto text = read_file(fmt::format("{}/{}", catalogue, version::index_file));
  if (!text) return std::unexpected(text.error());
  return version::parse_index(*text);
}

Result<std::vector<version::KnownRelease>> known_releases(const std::string& catalogue) {
  std::error_code error;
  fs::directory_iterator folders(catalogue, error);
  if (error)
    return fail(ErrorKind::not_found, fmt::format("The catalogue {} can't be read: {}. Name another with --catalogue.",
                                                  catalogue, error.message()));
  std::vector<version::Manifest> manifests;
  for (const auto& folder : folders) {
    const auto name = folder.path().filename().string();
    if (!version::parse_version(name)) continue;
    auto text = read_file(folder.path().string() + "/manifest.json");
    if (!text) continue;
    auto manifest = version::parse_manifest(*text);
    if (manifest && manifest->version == name) manifests.push_back(std::move(*manifest));
  }
  const auto index = accepted_index(catalogue);
  return version::merge_known(manifests, index ? &*index : nullptr);
}

}  // namespace afloat::files
