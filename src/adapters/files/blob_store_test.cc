#include "adapters/files/blob_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/hash.h"

namespace afloat::files {
namespace {

namespace fs = std::filesystem;

class BlobStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    init_crypto();
    home_ = fs::temp_directory_path() / ("afloat-blobs-" + random_hex(6));
    fs::create_directories(home_);
    store_ = make_blob_store(home_.string(), pool_);
  }
  void TearDown() override {
    pool_.join();
    fs::remove_all(home_);
  }
  template <class T>
  Result<T> run(Task<T> task) {
    boost::asio::io_context context(1);
    std::optional<Result<T>> outcome;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr, Result<T> result) { outcome.emplace(std::move(result)); });
    context.run();
    return std::move(*outcome);
  }
  Result<std::string> put(const std::string& bytes) { return run(store_->put(std::make_shared<const std::string>(bytes))); }
  Result<std::shared_ptr<const std::string>> get(const std::string& digest) { return run(store_->get(digest)); }
  fs::path file_of(const std::string& digest) const { return home_ / "blobs" / digest.substr(0, 2) / digest; }
  int files_below() const {
    int count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(home_)) count += entry.is_regular_file() ? 1 : 0;
    return count;
  }

  fs::path home_;
  boost::asio::thread_pool pool_{1};
  std::unique_ptr<BlobStore> store_;
};

TEST_F(BlobStoreTest, DamagedBytesAreNeverHandedOutAndTheSameUploadMendsThem) {
  const std::string bytes(100'000, 'a');
  auto digest = put(bytes);
  ASSERT_TRUE(digest);
  {
    std::fstream file(file_of(*digest), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(50'000);
    file << 'b';  // of the same length
  }
  auto damaged = get(*digest);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().kind(), ErrorKind::data_corrupted);
  EXPECT_NE(damaged.error().message().find("other bytes"), std::string::npos) << damaged.error().message();
  fs::resize_file(file_of(*digest), 10);
  EXPECT_FALSE(get(*digest)) << "cut off";
  ASSERT_TRUE(put(bytes));
  auto mended = get(*digest);
  ASSERT_TRUE(mended) << mended.error().message();
  EXPECT_EQ(**mended, bytes);
}

TEST_F(BlobStoreTest, AMissingFileIsWaitedForAndThenIsDamageOrAMissingMount) {
  auto digest = put("something");
  ASSERT_TRUE(digest);
  fs::remove(file_of(*digest));
  const auto begin = std::chrono::steady_clock::now();
  auto missing = get(*digest);
  const auto waited = std::chrono::steady_clock::now() - begin;
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::data_corrupted) << missing.error().message();
  EXPECT_GE(waited, std::chrono::milliseconds(1800));
  EXPECT_LE(waited, std::chrono::milliseconds(4000));
  fs::remove_all(home_);
  auto gone = get(*digest);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind(), ErrorKind::unavailable);
  EXPECT_NE(gone.error().message().find("mounted"), std::string::npos) << gone.error().message();
}

TEST_F(BlobStoreTest, AWriteThatFailsHalfWayLeavesNothing) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 65'536;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  auto full = put(std::string(1'000'000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), ErrorKind::unavailable);
  EXPECT_NE(full.error().message().find("full"), std::string::npos) << full.error().message();
  EXPECT_EQ(files_below(), 0);
}

}  // namespace
}  // namespace afloat::files
