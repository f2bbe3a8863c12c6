#include "store/page_body.h"

#include <zstd.h>

#include <memory>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::store {

namespace {

constexpr int compression_level = 3;
// Far above the largest request; a frame that claims more is not one of ours.
constexpr unsigned long long largest_body = 256ULL << 20;

std::string hash_of(std::string_view body) { return from_hex(sha256_hex(body)).value(); }

std::unexpected<Error> corrupted(std::string_view hash, std::string_view what) {
  return fail(ErrorKind::data_corrupted,
              "The stored page body " + to_hex(hash) + " " + std::string(what) +
                  ". The database is damaged: restore it, or this page from its history.");
}

}  // namespace

StoredBody store_body(std::string_view body) {
  StoredBody stored;
  stored.hash = hash_of(body);
  stored.size = static_cast<std::int64_t>(body.size());
  stored.data.resize(ZSTD_compressBound(body.size()));
  // A context costs more to make than a small page costs to compress.
  thread_local const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  const auto size = ZSTD_compressCCtx(context.get(), stored.data.data(), stored.data.size(), body.data(), body.size(),
                                      compression_level);
  if (ZSTD_isError(size) != 0U) throw std::bad_alloc();  // the only way to fail with room enough
  stored.data.resize(size);
  return stored;
}

Result<std::string> open_body(std::string_view hash, std::string_view data) {
  const auto size = ZSTD_getFrameContentSize(data.data(), data.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > largest_body)
    return corrupted(hash, "is not a zstd frame");
  std::string body(size, '\0');
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  const auto read = ZSTD_decompressDCtx(context.get(), body.data(), body.size(), data.data(), data.size());
  if (ZSTD_isError(read) != 0U || read != body.size()) return corrupted(hash, "can't be decompressed");
  if (hash_of(body) != hash) return corrupted(hash, "holds another text");
  return body;
}

Result<std::string> body_from(const Rows& rows, std::size_t row, std::size_t column) {
  if (!rows.is_null(row, column + 1)) return open_body(rows.bytes(row, column), rows.bytes(row, column + 1));
  return fail(ErrorKind::data_corrupted, "A page version has no body. The database is damaged: restore it.");
}

Task<void> collect_bodies(Database& database, Gates gates, Deadline deadline) {
  std::vector<Statement> statements;
  statements.push_back({"delete from page_body b where b.doomed_at < now() - interval '24 hours'"
                        " and not exists (select 1 from page_version v where v.body_hash = b.hash)",
                        {}});
  statements.push_back({"update page_body b set doomed_at = now() where b.doomed_at is null"
                        " and b.created_at < now() - interval '24 hours'"
                        " and not exists (select 1 from page_version v where v.body_hash = b.hash)",
                        {}});
  auto done = co_await database.write(gates, std::move(statements), {}, deadline);
  if (!done) co_return std::unexpected(done.error());
  co_return Result<void>{};
}

}  // namespace afloat::store
