#pragma once
#include <boost/json/fwd.hpp>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace afloat::formats {

/// Where a value stands in a document ("steps[].node") -> the types that it has there: "string", "integer", "number",
/// "boolean", "null", "object", "array".
using Shape = std::map<std::string, std::set<std::string>>;

/// `maps`: paths of objects whose names are data (a file's path, a kind); each name is then "*".
Shape shape_of(const boost::json::value& document, const std::vector<std::string_view>& maps = {});

/// What a reader of `before` would hit in `after`, one line each: a value that is gone, or one of a type that it has
/// not seen there. What is new does not disturb it.
std::vector<std::string> shape_breaks(const Shape& before, const Shape& after);

}  // namespace afloat::formats
