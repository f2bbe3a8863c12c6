#include "version/manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::version {
namespace {

bool is_sha256(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Paths and names come from outside and end up in file calls: whatever could leave the release's folder is refused.
bool is_safe_path(std::string_view path) {
  if (path.empty() || path.find('\\') != std::string_view::npos || !is_utf8(path)) return false;
  return std::ranges::none_of(split(path, '/'),
                              [](const std::string& part) { return part.empty() || part == "." || part == ".."; });
}

std::string quoted(std::string_view text) { return boost::json::serialize(boost::json::value(text)); }

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorKind::data_corrupted,
              message + " Do not install this bundle; get it again, or build it again with ./run bundle.");
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text) {
  auto object = parse_json_object(text, "The manifest");
  if (!object) return refuse(object.error().message());
  Manifest manifest;

  struct Field {
    std::string_view name;
    std::string* target;
    bool required;
  };
  for (const auto& [name, target, required] :
       {Field{"product", &manifest.product, true}, Field{"version", &manifest.version, true},
        Field{"architecture", &manifest.architecture, true}, Field{"archive", &manifest.archive, true},
        Field{"archive_sha256", &manifest.archive_sha256, true},
        Field{"upgrade_from_min", &manifest.upgrade_from_min, true},
        Field{"fault_profile", &manifest.fault_profile, false}, Field{"notes", &manifest.notes, false}}) {
    auto value = optional_string(*object, name);
    if (!value) return refuse("The manifest is broken: " + value.error().message());
    if (!*value && required) return refuse(fmt::format("The manifest has no \"{}\".", name));
    if (*value) *target = std::move(**value);
  }
  if (const auto* rolling = object->if_contains("rolling")) {
    // Read strictly: taking a mistyped `false` for the default would roll a release that must not roll.
    if (!rolling->is_bool()) return refuse("The manifest's \"rolling\" must be true or false.");
    manifest.rolling = rolling->get_bool();
  }
  const auto lts = optional_bool(*object, "lts");
  if (!lts) return refuse("The manifest is broken: " + lts.error().message());
  manifest.lts = lts->value_or(false);
  const auto stops = optional_array(*object, "required_stops");
  if (!stops) return refuse("The manifest is broken: " + stops.error().message());
  if (*stops)
    for (const auto& stop : **stops) {
      if (!stop.is_string() || !parse_version(stop.get_string()))
        return refuse("The manifest's \"required_stops\" must be a list of versions, as [\"1.2.0\"].");
      manifest.required_stops.emplace_back(stop.get_string());
    }

  if (manifest.product != "afloat")
    return refuse(fmt::format("The manifest is for \"{}\", not for afloat.", manifest.product));
  const auto version = parse_version(manifest.version);
  if (!version) return refuse("The manifest's version is broken: " + version.error().message());
  const auto from_min = parse_version(manifest.upgrade_from_min);
  if (!from_min) return refuse("The manifest's \"upgrade_from_min\" is broken: " + from_min.error().message());
  const auto build = required_int(*object, "build");
  if (!build) return refuse("The manifest is broken: " + build.error().message());
  manifest.build = build_number(*version);
  if (*build != manifest.build)
    return refuse(fmt::format("The manifest says build {}, but version {} is build {}.", *build, manifest.version,
                              manifest.build));
  if (!is_safe_path(manifest.archive) || manifest.archive.find('/') != std::string::npos)
    return refuse(fmt::format("The manifest's archive \"{}\" is not the name of a file beside it.", manifest.archive));
  if (!is_sha256(manifest.archive_sha256))
    return refuse("The manifest's \"archive_sha256\" is not a SHA-256 in lower-case hex.");

  const auto* files = object_at(*object, "files");
  if (!files) return refuse("The manifest has no \"files\": an object of path and SHA-256.");
  for (const auto& [path, digest] : *files) {
    if (!is_safe_path(path))
      return refuse(fmt::format("The manifest names the file \"{}\", a path that leaves the release's folder.",
                                std::string_view(path)));
    if (!digest.is_string() || !is_sha256(digest.get_string()))
      return refuse(
          fmt::format("The manifest's digest of \"{}\" is not a SHA-256 in lower-case hex.", std::string_view(path)));
    manifest.files.emplace(std::string(path), std::string(digest.get_string()));
  }
  return manifest;
}

std::string to_json(const Manifest& manifest) {
  // Written by hand: the digest of this text identifies the bundle, so order and spacing must never change.
  std::string files;
  for (const auto& [path, digest] : manifest.files)
    files += fmt::format("{}\n    {}: {}", files.empty() ? "" : ",", quoted(path), quoted(digest));
  // Fields of later releases are written only where they say something: manifests that have none stay as they were.
  std::string later;
  if (manifest.lts) later += "  \"lts\": true,\n";
  if (!manifest.required_stops.empty()) {
    std::string stops;
    for (const auto& stop : manifest.required_stops) stops += (stops.empty() ? "" : ", ") + quoted(stop);
    later += fmt::format("  \"required_stops\": [{}],\n", stops);
  }
  return fmt::format(
      "{{\n"
      "  \"product\": {},\n"
      "  \"version\": {},\n"
      "  \"build\": {},\n"
      "  \"architecture\": {},\n"
      "  \"archive\": {},\n"
      "  \"archive_sha256\": {},\n"
      "  \"upgrade_from_min\": {},\n"
      "  \"rolling\": {},\n"
      "{}"
      "  \"fault_profile\": {},\n"
      "  \"notes\": {},\n"
      "  \"files\": {{{}{}}}\n"
      "}}\n",
      quoted(manifest.product), quoted(manifest.version), manifest.build, quoted(manifest.architecture),
      quoted(manifest.archive), quoted(manifest.archive_sha256), quoted(manifest.upgrade_from_min), manifest.rolling,
      later, quoted(manifest.fault_profile), quoted(manifest.notes), files, manifest.files.empty() ? "" : "\n  ");
}

}  // namespace afloat::version
