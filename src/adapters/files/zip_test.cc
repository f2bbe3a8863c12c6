#include "adapters/files/zip.h"

#include <gtest/gtest.h>

namespace afloat::files {
namespace {

TEST(Zip, ReadsBackWhatWasPutIn) {
  const std::string bytes(300'000, 'x');
  const auto zip = zip_of({{"contents.txt", "a\n"}, {"nodes/node1/log", bytes}, {"empty", ""}}, 1'700'000'000);
  ASSERT_TRUE(zip) << zip.error().message();
  EXPECT_LT(zip->size(), 10'000U) << "it is compressed";
  EXPECT_TRUE(zip->starts_with("PK\x03\x04"));
  const auto files = files_of_zip(*zip);
  ASSERT_TRUE(files) << files.error().message();
  ASSERT_EQ(files->size(), 3U);
  EXPECT_EQ(files->at(1).path, "nodes/node1/log");
  EXPECT_EQ(files->at(1).content, bytes);
  EXPECT_EQ(files->at(2).content, "");
}

TEST(Zip, RefusesUnsafePathsAndWhatIsDamagedOrTooMuch) {
  EXPECT_EQ(zip_of({{"../up", ""}}, 0).error().kind(), ErrorKind::invalid_argument);
  auto zip = zip_of({{"a", std::string(100'000, 'a')}}, 0).value();
  EXPECT_EQ(files_of_zip(zip, 50'000).error().kind(), ErrorKind::data_corrupted);
  EXPECT_EQ(files_of_zip("no zip at all").error().kind(), ErrorKind::data_corrupted);
  zip[60] = static_cast<char>(zip[60] ^ 0x55);
  EXPECT_FALSE(files_of_zip(zip));
}

}  // namespace
}  // namespace afloat::files
