#include "base/json_fields.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/text.h"

namespace afloat {
namespace {

namespace json = boost::json;

const json::value* find(const json::object& o, std::string_view field) {
  const json::value* value = o.if_contains(field);
  return value && !value->is_null() ? value : nullptr;
}

std::string_view kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "true or false";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "text";
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "an object";
  }
  return "something else";
}

std::unexpected<Error> wrong_type(std::string_view field, std::string_view wanted, const json::value& found) {
  return fail(ErrorKind::invalid_argument,
              fmt::format("The field \"{}\" must be {}, but it is {}.", field, wanted, kind_name(found)));
}

std::unexpected<Error> missing(std::string_view field, std::string_view wanted) {
  return fail(ErrorKind::invalid_argument, fmt::format("The field \"{}\" is missing; it must be {}.", field, wanted));
}

std::optional<std::int64_t> as_int(const json::value& value) {
  if (const auto* number = value.if_int64()) return *number;
  if (const auto* number = value.if_double()) {
    // 2^63 itself does not fit, and every double below it does.
    if (std::trunc(*number) == *number && *number >= -0x1p63 && *number < 0x1p63)
      return static_cast<std::int64_t>(*number);
  }
  if (const auto* number = value.if_uint64(); number && std::in_range<std::int64_t>(*number))
    return static_cast<std::int64_t>(*number);
  return std::nullopt;
}

}  // namespace

Result<json::value> parse_json(std::string_view text, std::string_view what) {
  // A stream parser, since it tells where it stopped. Depth stays at Boost.JSON's limit of 32.
  json::stream_parser parser;
  boost::system::error_code error;
  const std::size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && used < text.size()) error = json::error::extra_data;
  if (!error) parser.finish(error);
  if (error)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} is not valid JSON: {} near byte {} of {}.", what, error.message(), used, text.size()));
  return parser.release();
}

Result<json::object> parse_json_object(std::string_view text, std::string_view what) {
  auto value = parse_json(text, what);
  if (!value) return std::unexpected(value.error());
  if (auto* object = value->if_object()) return std::move(*object);
  return fail(ErrorKind::invalid_argument,
              fmt::format("{} must be a JSON object, but it is {}.", what, kind_name(*value)));
}

Result<std::optional<std::string>> optional_string(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  if (!value) return std::nullopt;
  if (const auto* text = value->if_string()) return std::string(*text);
  if (value->is_number()) return json::serialize(*value);  // clients send ids either way
  return wrong_type(field, "text", *value);
}

Result<std::optional<std::int64_t>> optional_int(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  if (!value) return std::nullopt;
  if (const auto number = as_int(*value)) return number;
  if (const auto* text = value->if_string()) {
    if (const auto number = parse_int(std::string_view(*text))) return number;
  }
  return wrong_type(field, "a whole number", *value);
}

Result<std::optional<bool>> optional_bool(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  if (!value) return std::nullopt;
  if (const auto* flag = value->if_bool()) return *flag;
  return wrong_type(field, "true or false", *value);
}

Result<std::optional<double>> optional_double(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  if (!value) return std::nullopt;
  if (value->is_number()) return value->to_number<double>();
  return wrong_type(field, "a number", *value);
}

Result<const json::object*> optional_object(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  if (!value) return nullptr;
  if (const auto* object = value->if_object()) return object;
  return wrong_type(field, "an object", *value);
}

Result<const json::array*> optional_array(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  if (!value) return nullptr;
  if (const auto* array = value->if_array()) return array;
  return wrong_type(field, "a list", *value);
}

Result<std::string> required_string(const json::object& o, std::string_view field) {
  auto value = optional_string(o, field);
  if (!value) return std::unexpected(value.error());
  if (!*value) return missing(field, "text");
  return std::move(**value);
}

Result<std::int64_t> required_int(const json::object& o, std::string_view field) {
  auto value = optional_int(o, field);
  if (!value) return std::unexpected(value.error());
  if (!*value) return missing(field, "a whole number");
  return **value;
}

std::string string_or(const json::object& o, std::string_view field, std::string_view fallback) {
  const auto* value = find(o, field);
  const auto* text = value ? value->if_string() : nullptr;
  return std::string(text ? std::string_view(*text) : fallback);
}

std::int64_t int_or(const json::object& o, std::string_view field, std::int64_t fallback) {
  const auto* value = find(o, field);
  return value ? as_int(*value).value_or(fallback) : fallback;
}

double double_or(const json::object& o, std::string_view field, double fallback) {
  const auto* value = find(o, field);
  return value && value->is_number() ? value->to_number<double>() : fallback;
}

bool bool_or(const json::object& o, std::string_view field, bool fallback) {
  const auto* value = find(o, field);
  return value && value->is_bool() ? value->get_bool() : fallback;
}

const json::object* object_at(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  return value ? value->if_object() : nullptr;
}

const json::array* array_at(const json::object& o, std::string_view field) {
  const auto* value = find(o, field);
  return value ? value->if_array() : nullptr;
}

}  // namespace afloat
