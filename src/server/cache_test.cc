#include "server/cache.h"

#include <gtest/gtest.h>

namespace afloat::server {
namespace {

std::shared_ptr<const std::string> bytes(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

TEST(PageCache, GivesWhatWasPutUntilATagIsInvalidated) {
  PageCache cache;
  cache.put("a", {"page/1", "space/PG"}, bytes("one"), cache.ticket());
  cache.put("b", {"page/2", "space/PG"}, bytes("two"), cache.ticket());
  ASSERT_TRUE(cache.get("a"));
  EXPECT_EQ(*cache.get("a"), "one");
  cache.invalidate("page", "1");
  EXPECT_FALSE(cache.get("a"));
  EXPECT_TRUE(cache.get("b"));
  cache.invalidate("space", "PG");
  EXPECT_FALSE(cache.get("b"));
}

TEST(PageCache, AValueReadBeforeAChangeIsNotKept) {
  PageCache cache;
  const auto before = cache.ticket();
  cache.invalidate("page", "1");
  cache.put("a", {"page/1"}, bytes("old"), before);
  EXPECT_FALSE(cache.get("a"));
  cache.put("b", {"page/2"}, bytes("untouched"), before);
  EXPECT_TRUE(cache.get("b"));
  cache.put("a", {"page/1"}, bytes("fresh"), cache.ticket());
  EXPECT_TRUE(cache.get("a"));
}

TEST(PageCache, ClearingRefusesEveryEarlierTicket) {
  PageCache cache;
  const auto before = cache.ticket();
  cache.clear();
  cache.put("a", {"page/1"}, bytes("old"), before);
  EXPECT_FALSE(cache.get("a"));
}

TEST(PageCache, AnUnknownKindForgetsEverything) {
  PageCache cache;
  cache.put("a", {"page/1"}, bytes("one"), cache.ticket());
  cache.invalidate("theme", "7");
  EXPECT_FALSE(cache.get("a"));
}

TEST(PageCache, TheLeastRecentlyUsedGoFirst) {
  PageCache cache(1000);
  for (int i = 0; i < 10; ++i) cache.put(std::to_string(i), {"page/1"}, bytes(std::string(100, 'x')), cache.ticket());
  EXPECT_TRUE(cache.get("0"));
  cache.put("new", {"page/1"}, bytes(std::string(100, 'x')), cache.ticket());
  EXPECT_TRUE(cache.get("0"));
  EXPECT_FALSE(cache.get("1"));
  cache.put("0", {"page/2"}, bytes("replaced"), cache.ticket());
  cache.invalidate("page", "1");
  ASSERT_TRUE(cache.get("0"));
  EXPECT_EQ(*cache.get("0"), "replaced");
  EXPECT_FALSE(cache.get("new"));
}

}  // namespace
}  // namespace afloat::server
