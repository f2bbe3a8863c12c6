#include "formats/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "adapters/files/archive.h"
#include "base/json_fields.h"
#include "version/version.h"

namespace afloat::formats {

namespace fs = std::filesystem;
namespace json = boost::json;

const std::vector<Document>& documents() {
  static const std::vector<Document> all = {
      {"cookie", "the session's cookie and the form's token, and how the database names them; nodes of both releases"},
      {"rows", "rows with JSON or names in them; nodes, conductors and finalizers of both releases"},
      {"notify", "what is sent on each channel of PostgreSQL; nodes of both releases listen"},
      {"drain", "a node's answer to drain and return; a conductor of either release reads it"},
      {"metrics", "a node's /metrics; a conductor judges nodes of both releases by it"},
      {"run", "an upgrade run as REST tells it; command lines and scripts of other releases read it"},
      {"agent_report", "an agent's report; a conductor of another release reads it", {"digests"}},
      {"agent_refusal", "an agent's refusal; a conductor of another release reads it"},
      {"agent_commands", "a conductor's commands by their verb; an agent of another release reads them"},
      {"agent_files", "what an agent keeps on its host's disk; the agent that replaces it reads it"},
      {"manifest", "of a release bundle; agents and nodes of the release before read that of the next", {"files"}},
      {"index", "what a site fetches releases by; agents and nodes of earlier releases read it"},
  };
  return all;
}

const std::vector<Allowed>& allowed() {
  static const std::vector<Allowed> all = {};
  return all;
}

namespace {

std::string folder() { return AFLOAT_SOURCE_DIR "/tests/formats/golden"; }

/// Short ones on a line.
void write(std::string& out, const json::value& value, std::size_t indent) {
  const auto flat = json::serialize(value);
  const bool nested =
      (value.is_object() && !value.get_object().empty()) || (value.is_array() && !value.get_array().empty());
  if (!nested || flat.size() + indent <= 100) {
    out += flat;
    return;
  }
  const std::string pad(indent + 2, ' ');
  bool first = true;
  const auto begin = [&] {
    out += first ? "\n" : ",\n";
    out += pad;
    first = false;
  };
  if (const auto* object = value.if_object()) {
    out += '{';
    for (const auto& [name, each] : *object) {
      begin();
      out += json::serialize(json::string(name)) + ": ";
      write(out, each, indent + 2);
    }
  } else {
    out += '[';
    for (const auto& each : value.get_array()) {
      begin();
      write(out, each, indent + 2);
    }
  }
  out += '\n' + std::string(indent, ' ') + (value.is_object() ? '}' : ']');
}

}  // namespace

std::vector<std::string> golden_versions() {
  std::vector<version::Version> found;
  for (const auto& entry : fs::directory_iterator(folder()))
    if (auto parsed = version::parse_version(entry.path().filename().string())) found.push_back(*parsed);
  std::ranges::sort(found, {}, version::build_number);
  std::vector<std::string> names;
  for (const auto& each : found) names.push_back(version::to_string(each));
  return names;
}

std::string golden_file(std::string_view version, std::string_view name) {
  return fmt::format("{}/{}/{}.json", folder(), version, name);
}

Result<json::value> golden(std::string_view version, std::string_view name) {
  const auto file = golden_file(version, name);
  auto text = files::read_file(file);
  if (!text) return std::unexpected(text.error());
  auto parsed = parse_json(*text, file);
  if (!parsed) return fail(ErrorKind::data_corrupted, parsed.error().message());
  return parsed;
}

std::string pretty(const json::value& value) {
  std::string out;
  write(out, value, 0);
  return out + '\n';
}

}  // namespace afloat::formats
