#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace afloat::server {

/// What a node has found wrong and a person must mend: damaged files, no file handle left. It is asked for
/// under /rest/afloat/1/health. Told once to the log, not with every request that runs into it.
/// Thread-safe. Holds at most 100; a restart forgets them.
class Findings {
 public:
  struct Finding {
    std::string key;    ///< "blob/<digest>": the same trouble has the same key
    std::string check;  ///< "files", "handles"
    std::string message;
    std::int64_t first_ms = 0, last_ms = 0, count = 0;
  };
  /// True when it is new.
  bool add(const std::string& key, std::string check, std::string message, std::int64_t now_ms) {
    std::scoped_lock lock(mutex_);
    auto at = findings_.find(key);
    if (at == findings_.end() && findings_.size() >= 100) return false;
    const bool fresh = at == findings_.end();
    if (fresh) at = findings_.emplace(key, Finding{key, std::move(check), {}, now_ms, 0, 0}).first;
    at->second.message = std::move(message);
    at->second.last_ms = now_ms;
    ++at->second.count;
    return fresh;
  }
  /// It has been mended.
  void clear(const std::string& key) {
    std::scoped_lock lock(mutex_);
    findings_.erase(key);
  }
  bool empty() const {
    std::scoped_lock lock(mutex_);
    return findings_.empty();
  }
  std::vector<Finding> all() const {
    std::scoped_lock lock(mutex_);
    std::vector<Finding> out;
    for (const auto& [key, finding] : findings_) out.push_back(finding);
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Finding> findings_;
};

}  // namespace afloat::server
