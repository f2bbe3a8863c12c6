#include "cli/check_view.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace afloat::cli {
namespace {

namespace json = boost::json;

json::object answer(std::string_view verdict, int warn, int failed, int unknown) {
  return {{"verdict", verdict},
          {"counts", json::object{{"pass", 1}, {"warn", warn}, {"fail", failed}, {"unknown", unknown}}}};
}

TEST(CheckView, TheExitCodeIsOfWhatMustBeDealtWithFirst) {
  EXPECT_EQ(checks_code(answer("rolling", 0, 0, 0)), 0);
  EXPECT_EQ(checks_code(answer("rolling", 3, 0, 2)), 0) << "neither stops a run";
  EXPECT_EQ(checks_code(answer("rolling", 0, 1, 0)), 4);
  EXPECT_EQ(checks_code(answer("downtime", 0, 0, 0)), 3);
  EXPECT_EQ(checks_code(answer("downtime", 0, 1, 0)), 3);
  EXPECT_EQ(checks_code(answer("blocked", 0, 1, 0)), 4);
  EXPECT_EQ(checks_code(answer("", 0, 1, 0)), 4) << "health alone";
}

TEST(CheckView, TheWorstComesFirstAndOnlyWhatIsNotWellIsExplained) {
  const auto check = [](std::string_view id, std::string_view result) {
    return json::object{{"group", "health"}, {"id", id},   {"title", "T"},      {"result", result},
                        {"found", "F"},      {"why", "W"}, {"action", "Do it"}, {"link", "L"}};
  };
  auto all = answer("", 0, 1, 1);
  all["checks"] = json::array{check("a", "pass"), check("b", "unknown"), check("c", "fail")};
  const auto text = checks_text(all);
  EXPECT_LT(text.find("fail     c"), text.find("unknown  b")) << text;
  EXPECT_LT(text.find("unknown  b"), text.find("pass     a")) << text;
  EXPECT_EQ(text.find("do:    Do it", text.find("pass     a")), std::string::npos) << text;
  EXPECT_EQ(text.find("Upgrade"), std::string::npos) << text;
  EXPECT_TRUE(text.contains("1 passed, 0 warnings, 1 failed, 1 could not be found out")) << text;
}

}  // namespace
}  // namespace afloat::cli
