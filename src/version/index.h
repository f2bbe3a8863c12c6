#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/minisign.h"
#include "version/path.h"

/// index.json of a place that releases come from: what there is, signed as a whole (index.json.minisig), so that
/// nobody on the way can add, hide or take back a release. Beside it lie the bundles: V/manifest.json and so on.
namespace afloat::version {

inline constexpr std::string_view index_file = "index.json";
inline constexpr std::string_view index_signature_file = "index.json.minisig";

struct IndexEntry {
  std::string version;
  int build = 0;
  std::string digest;  ///< SHA-256 of its manifest.json, which carries every other digest
  std::string date;    ///< when it came into the index: "2026-11-23T10:00:00.000Z"
  std::string kind;    ///< bugfix, feature, platform
  bool lts = false, rolling = true;
  std::string upgrade_from_min;
  std::vector<std::string> required_stops;
  std::string notes;  ///< Markdown, as in the manifest
};
struct ReleaseIndex {
  std::string product = "afloat";
  std::int64_t serial = 0;  ///< rises with each index: an older one is refused
  std::string date;         ///< when it was made
  std::vector<IndexEntry> releases;  ///< lowest version first
};

/// Errors: data_corrupted.
Result<ReleaseIndex> parse_index(std::string_view json);
std::string to_json(const ReleaseIndex& index);  ///< one release a line, keys in fixed order
IndexEntry index_entry(const Manifest& manifest, std::string digest, std::string date);
/// nullptr when it is not offered.
const IndexEntry* find_entry(const ReleaseIndex& index, std::string_view version);

/// "product:afloat index:17 digest:<SHA-256 of index.json>".
std::string index_comment(const ReleaseIndex& index, std::string_view digest);
/// An index as it was found: the bytes and, beside them, the signature's.
struct SignedIndex {
  std::string place;  ///< folder or address, for messages
  std::string_view text;
  std::optional<std::string> signature;
};
/// Signed by one of `trusted`, and what it says. Errors: as check_signed; data_corrupted.
Result<ReleaseIndex> read_signed_index(const SignedIndex& found, const std::vector<minisign::PublicKey>& trusted);
/// Whether `offered` may take the place of the index that was accepted last. Errors: failed_precondition for an older
/// one (somebody shows yesterday's list), data_corrupted for another one with the same serial.
Result<void> check_newer(const ReleaseIndex& offered, std::string_view offered_text, const ReleaseIndex& accepted,
                         std::string_view accepted_text);

/// A release as a catalogue knows it: by its manifest, or only by the index.
struct KnownRelease {
  Release release;
  std::string date;  ///< "" when no index tells
  std::string notes;
};
/// Manifests first; the index adds what was not fetched, and dates. Lowest version first. Releases that can't be read
/// are left out.
std::vector<KnownRelease> merge_known(const std::vector<Manifest>& manifests, const ReleaseIndex* index);

/// facts_of (path.h) for such a list.
HopFacts facts_of(const Version& from, const Version& to, const std::vector<KnownRelease>& known);
/// For whoever typed what is no whole version: "Of 1.2 there are 1.2.0, 1.2.1.", else all there are; "" where none is.
std::string nearest_text(const std::vector<KnownRelease>& known, std::string_view typed);
/// Versions whose bundle is there, lowest first.
std::vector<std::string> fetched_of(const std::vector<KnownRelease>& known);
/// The releases alone, as find_path takes them.
std::vector<Release> releases_of(const std::vector<KnownRelease>& known);

/// Release notes that whoever goes from `from` to `to` reads: the target's and those of every version in between.
struct ReleaseNotes {
  std::string version;
  std::string text;
  std::string digest;  ///< SHA-256 of the text: notes that have changed are read again
};
/// That somebody has read the notes of one version.
struct ReadNotes {
  std::string version;
  std::string digest;  ///< of the notes' text
  std::string actor;
  std::int64_t at_ms = 0;  ///< database time
};
/// Highest first. A release without notes has none to read.
std::vector<ReleaseNotes> notes_between(const std::vector<KnownRelease>& known, const Version& from,
                                        const Version& to);
/// The record that these notes were read; nullptr without one.
const ReadNotes* find_read(const std::vector<ReadNotes>& read, const ReleaseNotes& notes);

}  // namespace afloat::version
