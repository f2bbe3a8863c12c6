#include "base/log_line.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <vector>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat {

namespace json = boost::json;

std::string readable_log_line(std::string_view line) {
  const auto fields = parse_json_object(line, "a log line");
  if (!fields || !fields->contains("event")) return std::string(line);
  auto said = string_or(*fields, "message");
  if (said.empty()) {
    said = string_or(*fields, "event");
    for (const auto& [name, value] : *fields)
      if (name != "at" && name != "level" && name != "node" && name != "event")
        said +=
            fmt::format(" {}={}", std::string_view(name),
                        value.is_string() ? std::string(std::string_view(value.get_string())) : json::serialize(value));
  }
  return fmt::format("{} {}: {}", string_or(*fields, "at"), string_or(*fields, "level"), said);
}

std::string readable_log(std::string_view lines) {
  std::vector<std::string> shown;
  for (const auto& line : split(lines, '\n')) shown.push_back(readable_log_line(line));
  return join(shown, "\n");
}

std::string log_message(std::string_view line) {
  const auto fields = parse_json_object(line, "a log line");
  const auto said = fields ? string_or(*fields, "message") : std::string();
  return said.empty() ? std::string(line) : said;
}

}  // namespace afloat
