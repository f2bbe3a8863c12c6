#include "store/search_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "store/page_rows.h"

namespace afloat::store {
namespace {

TEST(Excerpt, ShowsTheSurroundingsOfTheFirstWordFound) {
  const std::string text = std::string(500, 'a') + " before the Needle and after " + std::string(500, 'b');
  const auto excerpt = excerpt_around(text, "needle thread");
  EXPECT_NE(excerpt.find("the Needle and"), std::string::npos) << excerpt;
  EXPECT_TRUE(excerpt.starts_with("... "));
  EXPECT_TRUE(excerpt.ends_with(" ..."));
  EXPECT_EQ(excerpt_around("short\ntext", "absent"), "short text");
  EXPECT_EQ(excerpt_around("", "x"), "");
}

TEST(Excerpt, NeverCutsACharacterInTwo) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "\xC3\xA4";
  const auto around = fmt::format("{0} zz {0}", text);
  for (const auto* word : {"zz", "\xC3\xA4", "q"}) {
    EXPECT_TRUE(is_utf8(excerpt_around(around, word))) << word;
  }
  for (std::size_t n = 0; n < 8; ++n) EXPECT_TRUE(is_utf8(cut_utf8(text, n)));
}

}  // namespace
}  // namespace afloat::store
