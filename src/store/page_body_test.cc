#include "store/page_body.h"

#include <gtest/gtest.h>

namespace afloat::store {
namespace {

std::string long_text() {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "<p>line " + std::to_string(i) + " äöü</p>";
  return text;
}

TEST(PageBody, ComesBackAsItWas) {
  for (const auto& text : {std::string(), std::string("<p>a</p>"), std::string("\0binary\xff", 8), long_text()}) {
    const auto stored = store_body(text);
    EXPECT_EQ(stored.size, static_cast<std::int64_t>(text.size()));
    EXPECT_EQ(stored.hash.size(), 32u);
    auto opened = open_body(stored.hash, stored.data);
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_EQ(*opened, text);
  }
  EXPECT_LT(store_body(long_text()).data.size(), long_text().size() / 4);
}

TEST(PageBody, SameTextSameHash) {
  EXPECT_EQ(store_body("text").hash, store_body("text").hash);
  EXPECT_NE(store_body("text").hash, store_body("Text").hash);
}

TEST(PageBody, DamageIsFoundAndNamed) {
  const auto stored = store_body("the text"), other = store_body("another text");
  struct Case {
    std::string_view name, hash, data;
  };
  const auto cut = stored.data.substr(0, stored.data.size() - 3);
  for (const auto& [name, hash, data] :
       {Case{"of another text", stored.hash, other.data}, Case{"cut off", stored.hash, cut},
        Case{"no frame", stored.hash, "the text"}, Case{"empty", stored.hash, ""}}) {
    SCOPED_TRACE(name);
    auto opened = open_body(hash, data);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind(), ErrorKind::data_corrupted);
  }
}

}  // namespace
}  // namespace afloat::store
