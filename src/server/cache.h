#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace afloat::server {

/// Rendered bytes by key, dropped by change-log entries. One per io_context.
///
/// Filling races with invalidation: a value read before a change may arrive after that change was
/// heard of. So take a `ticket()` before the database read and hand it to `put`, which drops the value
/// when any of its tags was invalidated since.
class PageCache {
 public:
  explicit PageCache(std::size_t max_bytes = 64 * 1024 * 1024);
  std::uint64_t ticket() const { return now_; }
  std::shared_ptr<const std::string> get(const std::string& key);
  /// `tags`: change-log "kind/key" pairs that make the entry invalid, e.g. "page/12", "space/PG".
  void put(std::string key, std::vector<std::string> tags, std::shared_ptr<const std::string> bytes,
           std::uint64_t ticket);
  void invalidate(std::string_view kind, std::string_view key);
  void clear();

 private:
  struct Entry {
    std::shared_ptr<const std::string> bytes;
    std::vector<std::string> tags;
    std::list<std::string>::iterator recency;
  };
  void drop(const std::string& key);
  std::size_t max_bytes_, bytes_ = 0;
  std::uint64_t now_ = 1, floor_ = 0;
  std::map<std::string, Entry> entries_;
  std::list<std::string> recency_;  // keys, least recently used first
  std::multimap<std::string, std::string> by_tag_;
  std::map<std::string, std::uint64_t> invalidated_;
};

}  // namespace afloat::server
