#include "agent/fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "adapters/files/archive.h"
#include "adapters/files/releases.h"
#include "adapters/http/download.h"
#include "base/hash.h"
#include "version/bundle_signature.h"

namespace afloat::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t most_index_bytes = 16'000'000, most_manifest_bytes = 16'000'000, most_signature_bytes = 10'000,
                        most_archive_bytes = 4'000'000'000;
constexpr std::string_view staging = ".fetch-";

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail(ErrorKind::internal, fmt::format("Can't make {}: {}", path, error.message()));
  return {};
}

void remove(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

/// A small file into memory, by way of `folder`. nullopt when it is not there.
Result<std::optional<std::string>> small_file(const FetchSource& source, const std::string& address,
                                              const std::string& folder, std::uint64_t most) {
  const auto file = folder + "/download";
  auto done = http::download({.url = address, .file = file, .ca_file = source.ca_file, .max_bytes = most});
  auto text = done ? files::read_file(file) : Result<std::string>(std::unexpected(done.error()));
  std::error_code ignored;
  fs::remove(file, ignored);
  if (text) return std::optional(std::move(*text));
  if (text.error().kind() == ErrorKind::not_found) return std::nullopt;
  return std::unexpected(text.error());
}

Result<void> accept(const FetchSource& source, const version::ReleaseIndex& index, const std::string& text,
                    const std::string& signature) {
  const auto file = fmt::format("{}/{}", source.catalogue, version::index_file);
  std::error_code error;
  if (fs::exists(file, error)) {
    auto kept = files::read_file(file);
    if (!kept) return std::unexpected(kept.error());
    auto accepted = version::parse_index(*kept);
    // Whoever could break the file could also have taken it away; a person has to look.
    if (!accepted)
      return fail(
          ErrorKind::failed_precondition,
          fmt::format("{}, the index that was accepted last, can't be read ({}). So it is not known which index "
                      "would be an old one. If you know why, remove the file and fetch again.",
                      file, accepted.error().message()));
    if (auto newer = version::check_newer(index, text, *accepted, *kept); !newer) return newer;
  }
  // The signature first: an index never lies there with the signature of one before it for longer than a moment.
  if (auto written =
          files::write_file_durably(fmt::format("{}/{}", source.catalogue, version::index_signature_file), signature);
      !written)
    return written;
  return files::write_file_durably(file, text);
}

/// The manifest and its signature, verified, in `folder`.
Result<version::Manifest> fetch_manifest(const FetchSource& source, const version::IndexEntry& entry,
                                         const std::string& address, const std::string& folder) {
  auto text = small_file(source, address + "/manifest.json", folder, most_manifest_bytes);
  if (!text) return std::unexpected(text.error());
  if (!*text)
    return fail(ErrorKind::not_found,
                fmt::format("{}/manifest.json is not there, although the index offers {}.", address, entry.version));
  if (const auto digest = sha256_hex(**text); digest != entry.digest)
    return fail(ErrorKind::data_corrupted,
                fmt::format("{}/manifest.json has SHA-256 {}, but the index says {}: it is damaged or was replaced. "
                            "Nothing was kept; ask its publisher.",
                            address, digest, entry.digest));
  auto manifest = version::parse_manifest(**text);
  if (!manifest) return manifest;
  if (manifest->version != entry.version)
    return fail(ErrorKind::data_corrupted,
                fmt::format("{}/manifest.json is the manifest of {}.", address, manifest->version));
  auto signature =
      small_file(source, fmt::format("{}/{}", address, version::signature_file), folder, most_signature_bytes);
  if (!signature) return std::unexpected(signature.error());
  auto key = version::check_signature({address, **text, *manifest, *signature}, source.trusted);
  if (!key) return std::unexpected(key.error());
  if (auto written = files::write_file_durably(fmt::format("{}/{}", folder, version::signature_file), **signature);
      !written)
    return std::unexpected(written.error());
  if (auto written = files::write_file_durably(folder + "/manifest.json", **text); !written)
    return std::unexpected(written.error());
  return manifest;
}

/// What was found altered must not be gone on with.
bool altered(const Error& error) {
  return error.kind() != ErrorKind::unavailable && error.kind() != ErrorKind::internal;
}

Result<void> fill(const FetchSource& source, const version::IndexEntry& entry, const std::string& stage) {
  auto address = http::address_of(source.from);
  if (!address) return std::unexpected(address.error());
  const auto folder = fmt::format("{}/{}", stage, entry.version), from = fmt::format("{}/{}", *address, entry.version);
  if (auto made = make_folder(folder); !made) return made;
  auto manifest = fetch_manifest(source, entry, from, folder);
  if (!manifest) return std::unexpected(manifest.error());
  const auto archive = fmt::format("{}/{}", folder, manifest->archive), part = archive + ".part";
  auto done = http::download({.url = fmt::format("{}/{}", from, manifest->archive),
                              .file = part,
                              .ca_file = source.ca_file,
                              .max_bytes = most_archive_bytes,
                              .resume = true});
  if (!done) return done;
  std::error_code error;
  fs::rename(part, archive, error);
  if (error) return fail(ErrorKind::internal, fmt::format("Can't rename {}: {}", part, error.message()));
  auto bundle = find_release(stage, entry.version);
  if (!bundle) return std::unexpected(bundle.error());
  return verify_bundle(*bundle);
}

/// Whether the catalogue has it already, whole and signed.
Result<bool> is_there(const FetchSource& source, const version::IndexEntry& entry) {
  const auto folder = fmt::format("{}/{}", source.catalogue, entry.version);
  std::error_code error;
  if (!fs::exists(folder + "/manifest.json", error)) return false;
  const auto here = find_release(source.catalogue, entry.version);
  if (!here) return false;
  if (here->digest != entry.digest)
    return fail(ErrorKind::failed_precondition,
                fmt::format("The catalogue has another {} (digest {}) than the index offers (digest {}): two builds "
                            "carry one version. Remove {} if it is the wrong one, then fetch again.",
                            entry.version, here->digest.substr(0, 12), entry.digest.substr(0, 12), folder));
  return signed_by(*here, source.trusted) && verify_bundle(*here);
}

/// From the stage into the catalogue; a damaged one that lies there goes away with the stage.
Result<void> place(const FetchSource& source, const std::string& version, const std::string& stage) {
  const auto folder = fmt::format("{}/{}", source.catalogue, version);
  std::error_code error;
  if (fs::exists(folder, error)) fs::rename(folder, stage + "/damaged", error);
  if (!error) fs::rename(fmt::format("{}/{}", stage, version), folder, error);
  if (error)
    return fail(ErrorKind::internal, fmt::format("Can't move {} into the catalogue: {}", version, error.message()));
  return {};
}

}  // namespace

Result<version::ReleaseIndex> fetch_index(const FetchSource& source) {
  if (source.trusted.empty())
    return fail(ErrorKind::failed_precondition,
                "No key is trusted here, so nothing that is fetched could be told from a forgery. Set trusted_keys in "
                "the site's config, or name a key with --trusted-key.");
  const auto address = http::address_of(source.from);
  if (!address) return std::unexpected(address.error());
  if (auto made = make_folder(source.catalogue); !made) return std::unexpected(made.error());
  const auto folder = fmt::format("{}/{}index-{}", source.catalogue, staging, random_hex(4));
  if (auto made = make_folder(folder); !made) return std::unexpected(made.error());
  auto text = small_file(source, fmt::format("{}/{}", *address, version::index_file), folder, most_index_bytes);
  auto signature = text && *text ? small_file(source, fmt::format("{}/{}", *address, version::index_signature_file),
                                              folder, most_signature_bytes)
                                 : Result<std::optional<std::string>>(std::nullopt);
  remove(folder);
  if (!text) return std::unexpected(text.error());
  if (!*text)
    return fail(ErrorKind::not_found, fmt::format("{} has no {}: nothing is published there, or the address is wrong. "
                                                  "Publishers make it with 'afloat releases index'.",
                                                  source.from, version::index_file));
  if (!signature) return std::unexpected(signature.error());
  auto index = version::read_signed_index({*address, **text, *signature}, source.trusted);
  if (!index) return index;
  if (auto accepted = accept(source, *index, **text, **signature); !accepted) return std::unexpected(accepted.error());
  return index;
}

Result<Fetched> fetch_release(const FetchSource& source, const version::ReleaseIndex& index,
                              const std::string& version) {
  const auto* entry = version::find_entry(index, version);
  if (!entry) {
    std::string names;
    for (const auto& each : index.releases) names += (names.empty() ? "" : ", ") + each.version;
    return fail(ErrorKind::not_found, fmt::format("The index of {} does not offer {}; it has: {}.", source.from,
                                                  version, names.empty() ? "none" : names));
  }
  // By its digest: what was begun of another build is not gone on with.
  const auto stage = fmt::format("{}/{}{}", source.catalogue, staging, entry->digest.substr(0, 16));
  if (auto made = make_folder(stage); !made) return std::unexpected(made.error());
  auto there = is_there(source, *entry);
  Result<void> done;
  if (!there)
    done = std::unexpected(there.error());
  else if (!*there)
    done = fill(source, *entry, stage);
  if (done && !*there) done = place(source, version, stage);
  if (!done) {
    if (altered(done.error())) remove(stage);
    return std::unexpected(done.error());
  }
  remove(stage);
  auto placed = find_release(source.catalogue, version);
  if (!placed) return std::unexpected(placed.error());
  return Fetched{std::move(*placed), *there};
}

Result<MadeIndex> make_index(const IndexRequest& request, const minisign::SecretKey& key) {
  auto entries = list_catalogue(request.catalogue);
  if (!entries) return std::unexpected(entries.error());
  std::optional<version::ReleaseIndex> before;
  std::error_code error;
  if (fs::exists(fmt::format("{}/{}", request.catalogue, version::index_file), error)) {
    auto kept = files::accepted_index(request.catalogue);
    if (!kept) return std::unexpected(kept.error());
    before = std::move(*kept);
  }
  MadeIndex made;
  made.index.serial = std::max(request.unix_seconds, before ? before->serial + 1 : 1);
  made.index.date = request.date;
  for (const auto& entry : *entries) {
    const auto leave_out = [&](std::string_view why) {
      made.left_out.push_back(fmt::format("{}: {}", entry.version, why));
    };
    if (entry.problem) {
      leave_out(entry.problem->message());
    } else if (entry.manifest.fault_profile != "none") {
      leave_out("a test build");
    } else if (auto intact = verify_bundle(entry); !intact) {
      leave_out(intact.error().message());
    } else if (auto by = signed_by(entry, {key.public_key()}); !by) {
      leave_out(by.error().message());
    } else {
      const auto* old = before ? version::find_entry(*before, entry.version) : nullptr;
      made.index.releases.push_back(version::index_entry(
          entry.manifest, entry.digest, old && old->digest == entry.digest ? old->date : request.date));
    }
  }
  const auto text = version::to_json(made.index);
  const auto signature = minisign::sign(text, version::index_comment(made.index, sha256_hex(text)), key);
  if (auto written =
          files::write_file_durably(fmt::format("{}/{}", request.catalogue, version::index_signature_file), signature);
      !written)
    return std::unexpected(written.error());
  if (auto written = files::write_file_durably(fmt::format("{}/{}", request.catalogue, version::index_file), text);
      !written)
    return std::unexpected(written.error());
  return made;
}

}  // namespace afloat::agent
