#pragma once
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

/// Typed reads from JSON that came from outside. Unknown fields are ignored;
/// a field of the wrong type gives invalid_argument with the field's name.
namespace afloat {

/// Parses text; invalid_argument names `what` ("the request body") and the position.
Result<boost::json::value> parse_json(std::string_view text, std::string_view what);
/// The object itself, or invalid_argument naming `what`.
Result<boost::json::object> parse_json_object(std::string_view text, std::string_view what);

/// Absent or null gives nullopt; a number is accepted where text is asked for and vice versa for ints.
Result<std::optional<std::string>> optional_string(const boost::json::object& o, std::string_view field);
Result<std::optional<std::int64_t>> optional_int(const boost::json::object& o, std::string_view field);
Result<std::string> required_string(const boost::json::object& o, std::string_view field);
Result<std::int64_t> required_int(const boost::json::object& o, std::string_view field);
Result<std::optional<bool>> optional_bool(const boost::json::object& o, std::string_view field);
Result<std::optional<double>> optional_double(const boost::json::object& o, std::string_view field);
/// nullptr when absent or null.
Result<const boost::json::object*> optional_object(const boost::json::object& o, std::string_view field);
Result<const boost::json::array*> optional_array(const boost::json::object& o, std::string_view field);

/// Lenient reads for documents that we wrote ourselves: `fallback` when absent or of another type.
std::string string_or(const boost::json::object& o, std::string_view field, std::string_view fallback = {});
std::int64_t int_or(const boost::json::object& o, std::string_view field, std::int64_t fallback = 0);
double double_or(const boost::json::object& o, std::string_view field, double fallback = 0);
bool bool_or(const boost::json::object& o, std::string_view field, bool fallback = false);
/// nullptr when absent or of another type.
const boost::json::object* object_at(const boost::json::object& o, std::string_view field);
const boost::json::array* array_at(const boost::json::object& o, std::string_view field);

}  // namespace afloat
