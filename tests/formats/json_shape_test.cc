#include "formats/json_shape.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/text.h"

namespace afloat::formats {
namespace {

std::string breaks(std::string_view before, std::string_view after, const std::vector<std::string_view>& maps = {}) {
  return join(shape_breaks(shape_of(boost::json::parse(before), maps), shape_of(boost::json::parse(after), maps)),
              "; ");
}

struct Change {
  const char* what;
  const char* before;
  const char* after;
  const char* said;
};

TEST(JsonShape, FindsEachChangeThatAReaderWouldHit) {
  constexpr Change changes[] = {
      {"a name is gone", R"({"a": 1, "b": "x"})", R"({"a": 1})", "b (string) is gone"},
      {"a name is another", R"({"afloat_session": "x"})", R"({"wiki_session": "x"})",
       "afloat_session (string) is gone"},
      {"deep inside", R"({"nodes": [{"name": "n1", "up": {"at": 1}}]})", R"({"nodes": [{"name": "n1", "up": {}}]})",
       "nodes[].up.at (integer) is gone"},
      {"what was in it is not told again", R"({"a": {"b": {"c": 1}}, "d": [1]})", R"({})",
       "a (object) is gone; d (array) is gone"},
      {"text for a number", R"({"a": 1})", R"({"a": "1"})", "a was integer and is string"},
      {"a broken number", R"({"a": 1})", R"({"a": 1.5})", "a was integer and is number"},
      {"null now and then", R"([{"a": 1}])", R"([{"a": 1}, {"a": null}])", "[].a was integer and is integer or null"},
      {"an object for a list", R"({"a": [1]})", R"({"a": {}})", "a was array and is object; a[] (integer) is gone"},
      {"the document itself", R"([1])", R"({"a": 1})", " was array and is object; [] (integer) is gone"},
      {"a list that holds nothing now", R"({"a": ["x"]})", R"({"a": []})", "a[] (string) is gone"},
  };
  for (const auto& [what, before, after, said] : changes) {
    SCOPED_TRACE(what);
    EXPECT_EQ(breaks(before, after), said);
  }
}

TEST(JsonShape, WhatIsNewDisturbsNobody) {
  EXPECT_EQ(breaks(R"({"a": 1, "b": [], "c": null})", R"({"c": null, "b": [{"x": 1}], "a": 2, "d": {"e": true}})"), "");
  EXPECT_EQ(breaks(R"([{"a": 1}, {"a": null}])", R"([{"a": 1}])"), "") << "whoever knew null still knows it";
  EXPECT_EQ(breaks(R"({"files": {"a.css": "1"}})", R"({"files": {"b.css": "2"}})", {"files"}), "") << "names are data";
  EXPECT_NE(breaks(R"({"files": {"a.css": "1"}})", R"({"files": {"b.css": 2}})", {"files"}), "");
}

}  // namespace
}  // namespace afloat::formats
