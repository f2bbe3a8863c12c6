#include "agent/catalogue.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "adapters/files/archive.h"
#include "base/hash.h"
#include "base/text.h"
#include "version/bundle_signature.h"
#include "version/version.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;

/// What the program is built for, from its ELF header: it may have been built for another kind of machine than the
/// one that packs it. A script runs wherever its interpreter does: this machine's.
Result<std::string> architecture_of(const std::string& program) {
  std::ifstream file(program, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (file.gcount() < static_cast<std::streamsize>(sizeof header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return machine_architecture();
  switch (header.e_machine) {
    case EM_X86_64: return "x86_64";
    case EM_AARCH64: return "aarch64";
    case EM_RISCV: return "riscv64";
    case EM_PPC64: return "ppc64le";
    case EM_S390: return "s390x";
    default:
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{} is built for a machine that we don't know (ELF {}).", program, header.e_machine));
  }
}

/// Reads and checks catalogue/V without reading the archive.
Result<CatalogueEntry> read_entry(const std::string& folder, const std::string& version) {
  CatalogueEntry entry;
  entry.version = version;
  entry.folder = folder;
  auto text = files::read_file(folder + "/manifest.json");
  if (!text) return std::unexpected(text.error());
  entry.digest = sha256_hex(*text);
  entry.manifest_text = *text;
  const std::string signature = fmt::format("{}/{}", folder, version::signature_file);
  if (std::error_code error; fs::exists(signature, error)) {
    auto bytes = files::read_file(signature);
    if (!bytes) return std::unexpected(bytes.error());
    entry.signature = std::move(*bytes);
  }
  auto manifest = version::parse_manifest(*text);
  if (!manifest) {
    return fail(ErrorKind::data_corrupted, fmt::format("{}/manifest.json: {}", folder, manifest.error().message()));
  }
  entry.manifest = std::move(*manifest);
  if (entry.manifest.product != "afloat" || entry.manifest.version != version) {
    return fail(ErrorKind::failed_precondition,
                fmt::format("The bundle in {} says that it is {} {}; a folder '{}' must hold afloat {}.", folder,
                            entry.manifest.product, entry.manifest.version, version, version));
  }
  if (!files::is_safe_path(entry.manifest.archive) || entry.manifest.archive.find('/') != std::string::npos) {
    return fail(ErrorKind::data_corrupted,
                fmt::format("The manifest in {} names its archive '{}': only a file beside it is allowed.", folder,
                            entry.manifest.archive));
  }
  std::error_code error;
  entry.archive_bytes = fs::file_size(folder + "/" + entry.manifest.archive, error);
  if (error) {
    return fail(ErrorKind::data_corrupted,
                fmt::format("The archive {}/{} is missing: {}.", folder, entry.manifest.archive, error.message()));
  }
  return entry;
}

bool lower_version(const std::string& a, const std::string& b) {
  const auto left = version::parse_version(a), right = version::parse_version(b);
  if (left && right) return *left < *right;
  return a < b;
}

}  // namespace

Result<std::vector<CatalogueEntry>> list_catalogue(const std::string& catalogue) {
  std::error_code error;
  fs::directory_iterator folders(catalogue, error);
  if (error) {
    return fail(ErrorKind::not_found,
                fmt::format("The catalogue {} can't be read: {}. Name another with --catalogue, or "
                            "make bundles with 'afloat releases pack'.",
                            catalogue, error.message()));
  }
  std::vector<CatalogueEntry> entries;
  for (const auto& folder : folders) {
    const std::string name = folder.path().filename().string();
    if (!folder.is_directory(error) || !version::parse_version(name)) continue;
    auto entry = read_entry(folder.path().string(), name);
    if (entry) {
      entries.push_back(std::move(*entry));
    } else {
      CatalogueEntry broken;
      broken.version = name;
      broken.folder = folder.path().string();
      broken.problem = entry.error();
      entries.push_back(std::move(broken));
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return lower_version(a.version, b.version); });
  return entries;
}

Result<CatalogueEntry> find_release(const std::string& catalogue, const std::string& version) {
  auto parsed = version::parse_version(version);  // also keeps '/' and '..' out of the path
  if (!parsed) return std::unexpected(parsed.error());
  const std::string folder = catalogue + "/" + version;
  std::error_code error;
  if (!fs::exists(folder + "/manifest.json", error)) {
    auto all = list_catalogue(catalogue);
    if (!all) return std::unexpected(all.error());
    std::vector<std::string> names;
    for (const auto& entry : *all) names.push_back(entry.version);
    return fail(ErrorKind::not_found, fmt::format("The catalogue {} has no release {}; it has: {}.", catalogue, version,
                                                  names.empty() ? "none" : join(names, ", ")));
  }
  return read_entry(folder, version);
}

Result<void> verify_bundle(const CatalogueEntry& entry) {
  if (entry.problem) return std::unexpected(*entry.problem);
  const std::string archive = entry.folder + "/" + entry.manifest.archive;
  auto digest = files::sha256_of_file(archive);
  if (!digest) return std::unexpected(digest.error());
  if (*digest != entry.manifest.archive_sha256) {
    return fail(ErrorKind::data_corrupted,
                fmt::format("{} has SHA-256 {}, but its manifest says {}: the file is damaged or was replaced. Get the "
                            "bundle again.",
                            archive, *digest, entry.manifest.archive_sha256));
  }
  auto files = files::read_archive(archive);
  if (!files) return std::unexpected(files.error());
  if (files->size() != entry.manifest.files.size()) {
    return fail(ErrorKind::data_corrupted, fmt::format("{} holds {} files, but its manifest lists {}.", archive,
                                                       files->size(), entry.manifest.files.size()));
  }
  for (const auto& file : *files) {
    const auto listed = entry.manifest.files.find(file.path);
    if (listed == entry.manifest.files.end() || listed->second != file.sha256) {
      return fail(ErrorKind::data_corrupted,
                  fmt::format("{}: '{}' is not what the manifest lists.", archive, file.path));
    }
  }
  return {};
}

Result<minisign::PublicKey> signed_by(const CatalogueEntry& entry, const std::vector<minisign::PublicKey>& trusted) {
  if (entry.problem) return std::unexpected(*entry.problem);
  return version::check_signature({entry.folder, entry.manifest_text, entry.manifest, entry.signature}, trusted);
}

Result<CatalogueEntry> sign_bundle(const std::string& folder, const minisign::SecretKey& key) {
  auto text = files::read_file(folder + "/manifest.json");
  if (!text) return std::unexpected(text.error());
  auto manifest = version::parse_manifest(*text);
  if (!manifest) {
    return fail(ErrorKind::data_corrupted, fmt::format("{}/manifest.json: {}", folder, manifest.error().message()));
  }
  auto entry = read_entry(folder, manifest->version);
  if (!entry) return entry;
  if (auto intact = verify_bundle(*entry); !intact) return std::unexpected(intact.error());
  entry->signature = minisign::sign(entry->manifest_text, version::signature_comment(*manifest, entry->digest), key);
  auto written =
      files::write_file_durably(fmt::format("{}/{}", folder, version::signature_file), *entry->signature);
  if (!written) return std::unexpected(written.error());
  return entry;
}

std::string machine_architecture() {
  utsname name{};
  return uname(&name) == 0 ? name.machine : "unknown";
}

Result<CatalogueEntry> pack_bundle(const PackRequest& request) {
  auto version = version::parse_version(request.version);
  if (!version) return std::unexpected(version.error());
  if (auto from = version::parse_version(request.upgrade_from_min); !from) return std::unexpected(from.error());
  for (const auto& stop : request.required_stops)
    if (auto parsed = version::parse_version(stop); !parsed) return std::unexpected(parsed.error());
  std::error_code error;
  if (!fs::is_directory(request.web, error)) {
    return fail(ErrorKind::not_found, fmt::format("--web {} is no folder.", request.web));
  }
  auto architecture = architecture_of(request.binary);
  if (!architecture) return std::unexpected(architecture.error());
  std::vector<files::PackFile> contents{{"bin/afloat", request.binary, true}};
  for (const auto& file : fs::recursive_directory_iterator(request.web, error)) {
    if (!file.is_regular_file()) continue;
    contents.push_back(
        {"share/web/" + fs::relative(file.path(), request.web).generic_string(), file.path().string(), false});
  }
  if (error) return fail(ErrorKind::internal, fmt::format("Can't read {}: {}", request.web, error.message()));
  version::Manifest manifest;
  if (!request.notes_file.empty()) {
    auto notes = files::read_file(request.notes_file);
    if (!notes) return std::unexpected(notes.error());
    manifest.notes = *notes;
    contents.push_back({"NOTES.md", request.notes_file, false});
  }
  fs::create_directories(request.out, error);
  if (error) return fail(ErrorKind::internal, fmt::format("Can't make {}: {}", request.out, error.message()));

  // The old manifest goes first: a bundle whose packing was interrupted has none, so nobody takes it for whole.
  fs::remove(request.out + "/manifest.json", error);
  fs::remove(fmt::format("{}/{}", request.out, version::signature_file), error);
  manifest.version = request.version;
  manifest.build = version::build_number(*version);
  manifest.architecture = std::move(*architecture);
  manifest.archive = fmt::format("afloat-{}.tar.zst", request.version);
  manifest.upgrade_from_min = request.upgrade_from_min;
  manifest.fault_profile = request.fault_profile;
  manifest.rolling = request.rolling;
  manifest.lts = request.lts;
  manifest.required_stops = request.required_stops;
  auto packed = files::pack_archive(request.out + "/" + manifest.archive, std::move(contents));
  if (!packed) return std::unexpected(packed.error());
  for (const auto& file : *packed) manifest.files[file.path] = file.sha256;
  auto digest = files::sha256_of_file(request.out + "/" + manifest.archive);
  if (!digest) return std::unexpected(digest.error());
  manifest.archive_sha256 = *digest;
  if (auto written = files::write_file_durably(request.out + "/manifest.json", version::to_json(manifest)); !written) {
    return std::unexpected(written.error());
  }
  return read_entry(request.out, request.version);
}

}  // namespace afloat::agent
