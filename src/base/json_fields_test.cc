#include "base/json_fields.h"

#include <gtest/gtest.h>

namespace afloat {
namespace {

boost::json::object object() {
  return parse_json_object(R"({"text":"a","number":7,"asText":"7","half":1.5,"flag":true,"nothing":null,
                               "huge":18446744073709551615,"list":[1],"inner":{}})",
                           "the test")
      .value();
}

TEST(JsonFields, BrokenTextIsRefusedWithItsNameAndPlace) {
  for (const auto text : {"", "{", "{\"a\":}", "{} x", "[1,]", "\xff"}) {
    SCOPED_TRACE(text);
    const auto value = parse_json(text, "The request body");
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error().kind(), ErrorKind::invalid_argument);
    EXPECT_TRUE(value.error().message().starts_with("The request body is not valid JSON")) << value.error().message();
  }
  EXPECT_TRUE(parse_json(" {} \n", "it"));
  EXPECT_FALSE(parse_json(std::string(100, '[') + std::string(100, ']'), "a deep list"));
  const auto list = parse_json_object("[1]", "The request body");
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().message(), "The request body must be a JSON object, but it is a list.");
}

TEST(JsonFields, OptionalReads) {
  const auto o = object();
  EXPECT_EQ(optional_string(o, "text").value(), "a");
  EXPECT_EQ(optional_string(o, "number").value(), "7");
  EXPECT_EQ(optional_string(o, "absent").value(), std::nullopt);
  EXPECT_EQ(optional_string(o, "nothing").value(), std::nullopt);
  EXPECT_FALSE(optional_string(o, "flag"));
  EXPECT_EQ(optional_int(o, "number").value(), 7);
  EXPECT_EQ(optional_int(o, "asText").value(), 7);
  EXPECT_EQ(optional_int(o, "nothing").value(), std::nullopt);
  for (const auto field : {"half", "flag", "text", "huge", "list"}) {
    SCOPED_TRACE(field);
    const auto number = optional_int(o, field);
    ASSERT_FALSE(number);
    EXPECT_NE(number.error().message().find(field), std::string::npos);
  }
}

TEST(JsonFields, RequiredReadsNameWhatIsMissing) {
  const auto o = object();
  EXPECT_EQ(required_string(o, "text").value(), "a");
  EXPECT_EQ(required_int(o, "number").value(), 7);
  EXPECT_EQ(required_string(o, "title").error().message(), "The field \"title\" is missing; it must be text.");
  EXPECT_EQ(required_int(o, "nothing").error().kind(), ErrorKind::invalid_argument);
}

TEST(JsonFields, LenientReads) {
  const auto o = object();
  EXPECT_EQ(string_or(o, "text"), "a");
  EXPECT_EQ(string_or(o, "number", "x"), "x");
  EXPECT_EQ(int_or(o, "number"), 7);
  EXPECT_EQ(int_or(o, "huge", 3), 3);
  EXPECT_EQ(double_or(o, "half"), 1.5);
  EXPECT_EQ(double_or(o, "number"), 7);
  EXPECT_EQ(double_or(o, "text", 2), 2);
  EXPECT_TRUE(bool_or(o, "flag"));
  EXPECT_TRUE(bool_or(o, "absent", true));
  EXPECT_NE(object_at(o, "inner"), nullptr);
  EXPECT_EQ(object_at(o, "list"), nullptr);
  EXPECT_NE(array_at(o, "list"), nullptr);
}

}  // namespace
}  // namespace afloat
