#include "cli/load_checks.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cctype>

#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::cli {
namespace json = boost::json;

std::string check_answer(const Answer& answer, std::string_view media_type) {
  if (!answer.failure.empty()) return answer.failure;
  if (answer.status >= 300 && answer.status < 400)
    return fmt::format("redirect: {} to {}", answer.status, answer.location);
  if (answer.status != 200) {
    std::string start = answer.body.substr(0, 160);
    for (char& c : start)
      if (static_cast<unsigned char>(c) < ' ') c = ' ';
    while (!start.empty() && !is_utf8(start)) start.pop_back();
    return fmt::format("status: {} instead of 200: {}", answer.status, start);
  }
  const auto type = std::string_view(answer.content_type).substr(0, answer.content_type.find(';'));
  if (!equals_ignoring_case(trim(type), media_type))
    return fmt::format("type: \"{}\" instead of {}", answer.content_type, media_type);
  return {};
}

std::string check_html(const Answer& answer) {
  if (auto failure = check_answer(answer, "text/html"); !failure.empty()) return failure;
  if (answer.body.find("</html>") == std::string::npos) return "content: the page has no end";
  if (answer.body.find("action=\"/login\"") != std::string::npos)
    return "content: the sign-in form instead of the page";
  return {};
}

std::string check_json(const Answer& answer, json::object& out) {
  if (auto failure = check_answer(answer, "application/json"); !failure.empty()) return failure;
  boost::system::error_code error;
  auto value = json::parse(answer.body, error);
  if (error || !value.is_object()) return "content: the answer is not a JSON object";
  out = std::move(value.get_object());
  return {};
}

std::string check_list(const Answer& answer, std::size_t at_least) {
  json::object o;
  if (auto failure = check_json(answer, o); !failure.empty()) return failure;
  const auto* results = array_at(o, "results");
  if (!results) return "content: a list without results";
  if (results->size() < at_least)
    return fmt::format("content: {} results instead of {} or more", results->size(), at_least);
  return {};
}

std::string check_page(const Answer& answer, int version, std::string_view title, std::string& id) {
  json::object o;
  if (auto failure = check_json(answer, o); !failure.empty()) return failure;
  id = string_or(o, "id");
  if (id.empty()) return "content: a page without an id";
  const auto* v = object_at(o, "version");
  const auto number = v ? int_or(*v, "number", -1) : -1;
  if (number != version) return fmt::format("content: version {} instead of {}", number, version);
  if (string_or(o, "title") != title)
    return fmt::format("content: title \"{}\" instead of \"{}\"", string_or(o, "title"), title);
  return {};
}

std::string marker_text(std::string_view marker, int number) { return fmt::format("{}v{}z", marker, number); }

std::optional<int> find_marker(std::string_view text, std::string_view marker) {
  std::optional<int> highest;
  for (auto at = text.find(marker); at != std::string_view::npos; at = text.find(marker, at + 1)) {
    auto rest = text.substr(at + marker.size());
    if (!rest.starts_with('v')) continue;
    rest.remove_prefix(1);
    const auto end = rest.find_first_not_of("0123456789");
    if (end == 0 || end == std::string_view::npos || rest[end] != 'z') continue;
    if (const auto number = parse_int(rest.substr(0, end)); number && (!highest || *number > *highest))
      highest = static_cast<int>(*number);
  }
  return highest;
}

std::string check_marker(std::string_view text, std::string_view marker, int least) {
  const auto found = find_marker(text, marker);
  if (!found) return fmt::format("content: the page does not show what was written ({})", marker_text(marker, least));
  if (*found < least)
    return fmt::format("content: the page shows write {} although {} was acknowledged before ({})", *found, least,
                       marker);
  return {};
}

std::string_view plain_word(std::string_view title) {
  std::string_view best;
  for (std::size_t at = 0; at < title.size();) {
    std::size_t end = at;
    while (end < title.size() && std::isalnum(static_cast<unsigned char>(title[end]))) ++end;
    if (end - at > best.size()) best = title.substr(at, end - at);
    at = end + 1;
  }
  return best;
}

}  // namespace afloat::cli
