#include "base/log_line.h"

#include <gtest/gtest.h>

namespace afloat {
namespace {

constexpr const char* failed =
    R"({"at":"2026-11-26T03:12:00.000Z","level":"error","node":"node2","event":"start_failed","message":"The port is taken."})";

TEST(LogLine, IsShownAsAPersonReadsIt) {
  EXPECT_EQ(readable_log_line(failed), "2026-11-26T03:12:00.000Z error: The port is taken.");
  EXPECT_EQ(readable_log_line(R"({"at":"T","level":"info","node":"n","event":"stopped","exit_code":"1"})"),
            "T info: stopped exit_code=1");
  EXPECT_EQ(log_message(failed), "The port is taken.");
}

TEST(LogLine, WhatIsNoneOfOursStaysAsItIs) {
  for (const auto* line : {"Segmentation fault", "", "{broken", R"({"a":1})"}) {
    EXPECT_EQ(readable_log_line(line), line);
    EXPECT_EQ(log_message(line), line);
  }
  EXPECT_EQ(readable_log("one\n" + std::string(failed) + "\n"),
            "one\n2026-11-26T03:12:00.000Z error: The port is taken.\n");
}

}  // namespace
}  // namespace afloat
