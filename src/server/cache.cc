#include "server/cache.h"

#include <algorithm>

#include "base/text.h"

namespace afloat::server {

namespace {

// Beyond this many remembered invalidations all tickets handed out so far are refused instead.
constexpr std::size_t most_invalidations = 100'000;

bool known_kind(std::string_view kind) { return kind == "page" || kind == "space" || kind == "user"; }

std::string tag_of(std::string_view kind, std::string_view key) {
  std::string tag(kind);
  tag += '/';
  tag += key;
  return to_lower(tag);  // keys of spaces are typed in either case
}

}  // namespace

PageCache::PageCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}

std::shared_ptr<const std::string> PageCache::get(const std::string& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  recency_.splice(recency_.end(), recency_, found->second.recency);
  return found->second.bytes;
}

void PageCache::put(std::string key, std::vector<std::string> tags, std::shared_ptr<const std::string> bytes,
                    std::uint64_t ticket) {
  for (auto& tag : tags) tag = to_lower(tag);
  if (ticket < floor_ || !bytes || bytes->size() > max_bytes_ / 8) return;
  for (const auto& tag : tags) {
    const auto found = invalidated_.find(tag);
    if (found != invalidated_.end() && found->second > ticket) return;
  }
  drop(key);
  bytes_ += bytes->size();
  for (const auto& tag : tags) by_tag_.emplace(tag, key);
  const auto recency = recency_.insert(recency_.end(), key);
  entries_.emplace(std::move(key), Entry{std::move(bytes), std::move(tags), recency});
  while (bytes_ > max_bytes_ && !recency_.empty()) drop(std::string(recency_.front()));
}

void PageCache::invalidate(std::string_view kind, std::string_view key) {
  // A kind that a newer release has brought may concern anything here.
  if (!known_kind(kind)) return clear();
  const auto tag = tag_of(kind, key);
  ++now_;
  if (invalidated_.size() >= most_invalidations) {
    invalidated_.clear();
    floor_ = now_;
  }
  invalidated_[tag] = now_;
  std::vector<std::string> keys;
  for (auto [at, end] = by_tag_.equal_range(tag); at != end; ++at) keys.push_back(at->second);
  for (const auto& stale : keys) drop(stale);
}

void PageCache::clear() {
  entries_.clear();
  by_tag_.clear();
  recency_.clear();
  invalidated_.clear();
  bytes_ = 0;
  floor_ = ++now_;
}

void PageCache::drop(const std::string& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  for (const auto& tag : found->second.tags) {
    auto [at, end] = by_tag_.equal_range(tag);
    const auto mine = std::find_if(at, end, [&key](const auto& entry) { return entry.second == key; });
    if (mine != end) by_tag_.erase(mine);
  }
  bytes_ -= found->second.bytes->size();
  recency_.erase(found->second.recency);
  entries_.erase(found);
}

}  // namespace afloat::server
