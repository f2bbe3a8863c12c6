#include "version/index.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "version/signed_text.h"

namespace afloat::version {
namespace json = boost::json;
namespace {

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorKind::data_corrupted,
              message + " Do not use this index; get it again, or make it again with 'afloat releases index'.");
}

Result<IndexEntry> parse_entry(const json::value& value) {
  if (!value.is_object()) return refuse("The index's \"releases\" must be a list of objects.");
  const auto& object = value.get_object();
  IndexEntry entry;
  auto version = required_string(object, "version");
  if (!version) return refuse("A release of the index is broken: " + version.error().message());
  const auto parsed = parse_version(*version);  // it also becomes a folder's name
  if (!parsed) return refuse("A release of the index is broken: " + parsed.error().message());
  entry.version = std::move(*version);
  const auto in = fmt::format("{} in the index", entry.version);
  entry.build = build_number(*parsed);
  if (int_or(object, "build") != entry.build)
    return refuse(fmt::format("{} is build {}, not {}.", in, entry.build, int_or(object, "build")));
  entry.digest = string_or(object, "digest");
  if (entry.digest.size() != 64 || !from_hex(entry.digest))
    return refuse(fmt::format("{} has no \"digest\", a SHA-256 in hex.", in));
  const auto lts = optional_bool(object, "lts"), rolling = optional_bool(object, "rolling");
  if (!lts || !rolling) return refuse(fmt::format("{}: \"lts\" and \"rolling\" must be true or false.", in));
  entry.lts = lts->value_or(false);
  entry.rolling = rolling->value_or(true);
  entry.date = string_or(object, "date");
  entry.kind = to_string(kind_of(*parsed));
  entry.upgrade_from_min = string_or(object, "upgrade_from_min", "0.0.0");
  if (const auto* stops = array_at(object, "required_stops"))
    for (const auto& stop : *stops)
      if (stop.is_string()) entry.required_stops.emplace_back(stop.get_string());
  for (const auto& text : entry.required_stops)
    if (!parse_version(text)) return refuse(fmt::format("{}: its required stop \"{}\" is no version.", in, text));
  if (!parse_version(entry.upgrade_from_min))
    return refuse(fmt::format("{}: its \"upgrade_from_min\" is no version.", in));
  entry.notes = string_or(object, "notes");
  return entry;
}

Result<Release> release_of_entry(const IndexEntry& entry) {
  Manifest manifest;
  manifest.version = entry.version;
  manifest.rolling = entry.rolling;
  manifest.lts = entry.lts;
  manifest.upgrade_from_min = entry.upgrade_from_min;
  manifest.required_stops = entry.required_stops;
  auto release = release_of(manifest);
  if (release) release->fetched = false;
  return release;
}

}  // namespace

Result<ReleaseIndex> parse_index(std::string_view text) {
  auto object = parse_json_object(text, "The index");
  if (!object) return refuse(object.error().message());
  ReleaseIndex index;
  index.product = string_or(*object, "product");
  if (index.product != "afloat") return refuse(fmt::format("The index is for \"{}\", not for afloat.", index.product));
  index.serial = int_or(*object, "serial");
  if (index.serial < 1) return refuse("The index has no \"serial\", a number above 0.");
  index.date = string_or(*object, "date");
  const auto* releases = array_at(*object, "releases");
  if (!releases) return refuse("The index has no \"releases\".");
  for (const auto& value : *releases) {
    auto entry = parse_entry(value);
    if (!entry) return std::unexpected(entry.error());
    if (find_entry(index, entry->version)) return refuse(fmt::format("The index lists {} twice.", entry->version));
    index.releases.push_back(std::move(*entry));
  }
  return index;
}

std::string to_json(const ReleaseIndex& index) {
  std::string releases;
  for (const auto& entry : index.releases) {
    json::array stops;
    for (const auto& stop : entry.required_stops) stops.emplace_back(stop);
    releases += (releases.empty() ? "\n    " : ",\n    ") +
                json::serialize(json::object{{"version", entry.version},
                                             {"build", entry.build},
                                             {"digest", entry.digest},
                                             {"date", entry.date},
                                             {"kind", entry.kind},
                                             {"lts", entry.lts},
                                             {"rolling", entry.rolling},
                                             {"upgrade_from_min", entry.upgrade_from_min},
                                             {"required_stops", std::move(stops)},
                                             {"notes", entry.notes}});
  }
  return fmt::format("{{\n  \"product\": \"{}\",\n  \"serial\": {},\n  \"date\": \"{}\",\n  \"releases\": [{}{}]\n}}\n",
                     index.product, index.serial, index.date, releases, releases.empty() ? "" : "\n  ");
}

IndexEntry index_entry(const Manifest& manifest, std::string digest, std::string date) {
  IndexEntry entry;
  entry.version = manifest.version;
  entry.build = manifest.build;
  entry.digest = std::move(digest);
  entry.date = std::move(date);
  const auto version = parse_version(manifest.version);
  entry.kind = version ? to_string(kind_of(*version)) : "";
  entry.lts = manifest.lts;
  entry.rolling = manifest.rolling;
  entry.upgrade_from_min = manifest.upgrade_from_min;
  entry.required_stops = manifest.required_stops;
  entry.notes = manifest.notes;
  return entry;
}

const IndexEntry* find_entry(const ReleaseIndex& index, std::string_view version) {
  const auto found = std::ranges::find(index.releases, version, &IndexEntry::version);
  return found == index.releases.end() ? nullptr : &*found;
}

std::string index_comment(const ReleaseIndex& index, std::string_view digest) {
  return fmt::format("product:{} index:{} digest:{}", index.product, index.serial, digest);
}

Result<ReleaseIndex> read_signed_index(const SignedIndex& found, const std::vector<minisign::PublicKey>& trusted) {
  const auto file = fmt::format("{}/{}", found.place, index_signature_file);
  auto checked = check_signed({file, "index", "index of releases", found.text, found.signature,
                               "Do not use it; get both files again from where they were published, or sign the index "
                               "with 'afloat releases index'."},
                              trusted);
  if (!checked) return std::unexpected(checked.error());
  auto index = parse_index(found.text);
  if (!index) return index;
  const auto digest = sha256_hex(found.text);
  auto fields = comment_fields(checked->trusted_comment);
  // So that no other signed file, a manifest for one, passes for an index.
  if (!fields || (*fields)["product"] != index->product || (*fields)["index"] != std::to_string(index->serial) ||
      (*fields)["digest"] != digest)
    return fail(ErrorKind::data_corrupted,
                fmt::format("{}, made with key {}, says '{}', but the index is '{}'. Make it again with 'afloat "
                            "releases index'.",
                            file, minisign::shown_id(checked->key.id), checked->trusted_comment,
                            index_comment(*index, digest)));
  return index;
}

Result<void> check_newer(const ReleaseIndex& offered, std::string_view offered_text, const ReleaseIndex& accepted,
                         std::string_view accepted_text) {
  if (offered.serial < accepted.serial)
    return fail(ErrorKind::failed_precondition,
                fmt::format("The index is number {} of {}, but this site has accepted number {} of {}: an old list is "
                            "shown again, perhaps to hide a newer release. Get the present one from its publisher.",
                            offered.serial, offered.date, accepted.serial, accepted.date));
  if (offered.serial == accepted.serial && offered_text != accepted_text)
    return fail(ErrorKind::data_corrupted,
                fmt::format("The index is number {} like the one that this site has accepted, and yet says something "
                            "else. Ask its publisher which is right.",
                            offered.serial));
  return {};
}

std::vector<KnownRelease> merge_known(const std::vector<Manifest>& manifests, const ReleaseIndex* index) {
  std::vector<KnownRelease> known;
  for (const auto& manifest : manifests) {
    auto release = release_of(manifest);
    if (!release) continue;
    const auto* entry = index ? find_entry(*index, manifest.version) : nullptr;
    known.push_back({std::move(*release), entry ? entry->date : "", manifest.notes});
  }
  if (index)
    for (const auto& entry : index->releases) {
      auto release = release_of_entry(entry);
      if (release &&
          std::ranges::none_of(manifests, [&](const Manifest& each) { return each.version == entry.version; }))
        known.push_back({std::move(*release), entry.date, entry.notes});
    }
  std::ranges::sort(known, {}, [](const KnownRelease& each) { return each.release.version; });
  return known;
}

std::string nearest_text(const std::vector<KnownRelease>& known, std::string_view typed) {
  const auto line = std::string(typed.starts_with('v') ? typed.substr(1) : typed);
  std::vector<std::string> all, near;
  for (const auto& each : known) {
    all.push_back(to_string(each.release.version));
    if (!line.empty() && all.back().starts_with(line + ".")) near.push_back(all.back());
  }
  if (!near.empty()) return fmt::format("Of {} there {} {}.", line, near.size() == 1 ? "is" : "are", join(near, ", "));
  return all.empty() ? std::string() : fmt::format("There {} {}.", all.size() == 1 ? "is" : "are", join(all, ", "));
}

std::vector<std::string> fetched_of(const std::vector<KnownRelease>& known) {
  std::vector<std::string> versions;
  for (const auto& each : known)
    if (each.release.fetched) versions.push_back(to_string(each.release.version));
  return versions;
}

std::vector<Release> releases_of(const std::vector<KnownRelease>& known) {
  std::vector<Release> releases;
  for (const auto& each : known) releases.push_back(each.release);
  return releases;
}

HopFacts facts_of(const Version& from, const Version& to, const std::vector<KnownRelease>& known) {
  return facts_of(from, to, releases_of(known));
}

std::vector<ReleaseNotes> notes_between(const std::vector<KnownRelease>& known, const Version& from,
                                        const Version& to) {
  std::vector<ReleaseNotes> notes;
  for (auto each = known.rbegin(); each != known.rend(); ++each) {
    const auto& version = each->release.version;
    const auto text = trim(each->notes);
    // A pre-release's notes are those of its release, told early: they matter only to who goes to it.
    if (version <= from || version > to || text.empty() || (!version.pre_release.empty() && version != to)) continue;
    notes.push_back({to_string(version), std::string(text), sha256_hex(text)});
  }
  return notes;
}

const ReadNotes* find_read(const std::vector<ReadNotes>& read, const ReleaseNotes& notes) {
  const auto found = std::ranges::find_if(
      read, [&](const ReadNotes& each) { return each.version == notes.version && each.digest == notes.digest; });
  return found == read.end() ? nullptr : &*found;
}

}  // namespace afloat::version
