#pragma once
#include <boost/json.hpp>
#include <map>
#include <string>

namespace afloat::cli {

/// What an upgrade without a run looked like from outside, in the form in which REST gives a run: the report
/// needs to know when upgrade mode went on, when the site was STABLE again, and when each node was away.
/// As exact as `see` is called often.
class WatchedUpgrade {
 public:
  WatchedUpgrade(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  /// `cluster` as GET /rest/zdu/cluster gives it; an empty one (nobody answered) is passed over.
  void see(std::int64_t now_ms, const boost::json::object& cluster);
  /// Upgrade mode was on, and now the site is STABLE with every node on the target.
  bool arrived() const { return stable_at_ms_ > 0; }
  boost::json::object run() const;

 private:
  struct Node {
    std::string version;
    std::int64_t drain_ms = 0, away_ms = 0;  ///< since when; 0: it serves
  };
  void see_node(std::int64_t now_ms, const std::string& name, const std::string& state, const std::string& version);
  void add_step(const char* kind, const std::string& node, std::int64_t from_ms, std::int64_t to_ms, bool back);

  std::string from_, to_;
  std::int64_t mode_on_at_ms_ = 0, stable_at_ms_ = 0;
  std::map<std::string, Node> nodes_;
  boost::json::array steps_;
};

}  // namespace afloat::cli
