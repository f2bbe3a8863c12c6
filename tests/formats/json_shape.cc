#include "formats/json_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.h"

namespace afloat::formats {
namespace {

namespace json = boost::json;

std::string type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "integer";
    case json::kind::double_:
      return "number";
    case json::kind::string:
      return "string";
    case json::kind::array:
      return "array";
    case json::kind::object:
      return "object";
  }
  return "";
}

void collect(const json::value& value, const std::string& path, const std::vector<std::string_view>& maps,
             Shape& shape) {
  shape[path].insert(type_of(value));
  if (const auto* array = value.if_array())
    for (const auto& each : *array) collect(each, path + "[]", maps, shape);
  if (const auto* object = value.if_object()) {
    const bool names_are_data = std::ranges::find(maps, path) != maps.end();
    for (const auto& [name, each] : *object) {
      const std::string step = names_are_data ? "*" : std::string(name);
      collect(each, path.empty() ? step : path + '.' + step, maps, shape);
    }
  }
}

}  // namespace

Shape shape_of(const json::value& document, const std::vector<std::string_view>& maps) {
  Shape shape;
  collect(document, "", maps, shape);
  return shape;
}

std::vector<std::string> shape_breaks(const Shape& before, const Shape& after) {
  const auto listed = [](const std::set<std::string>& types) {
    return join(std::vector<std::string>(types.begin(), types.end()), " or ");
  };
  std::vector<std::string> lines;
  std::string gone;  // what lies in something that is gone is not told again
  for (const auto& [path, types] : before) {
    const auto found = after.find(path);
    if (found == after.end()) {
      const bool inside = !gone.empty() && path.starts_with(gone) && path.size() > gone.size() &&
                          (path[gone.size()] == '.' || path[gone.size()] == '[');
      if (inside) continue;
      gone = path;
      lines.push_back(fmt::format("{} ({}) is gone", path, listed(types)));
    } else if (!std::ranges::includes(types, found->second)) {
      lines.push_back(fmt::format("{} was {} and is {}", path, listed(types), listed(found->second)));
    }
  }
  return lines;
}

}  // namespace afloat::formats
