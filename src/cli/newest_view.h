#pragma once
#include <boost/json.hpp>
#include <cstdint>

namespace afloat::cli {

/// One picture of a run out of the answers of nodes of two releases: each question goes to whichever node the balancer
/// chooses, and an older one leaves out what came later (progress, hops, time left). Without it such lines come and go
/// while one looks on.
/// Thread-safety: none.
class NewestView {
 public:
  /// Is it worth asking once more? The answer is of an older node than one heard before, or than the run's nodes may be
  /// by now: the next one may be of a newer node.
  bool ask_again(const boost::json::object& run) const;
  /// The answer, with what an older node has left out as the newest one last told it.
  boost::json::object filled(boost::json::object run);

 private:
  boost::json::object newest_;
};

}  // namespace afloat::cli
