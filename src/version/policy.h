#pragma once
#include "version/version.h"

namespace afloat::version {

enum class HopVerdict { rolling, downtime, same, downgrade };
struct HopAdvice {
  HopVerdict verdict;
  std::string message;  ///< why, for a person
};

/// Afloat's own rule: bugfix and next feature roll; more than one feature rolls as a chain of hops, so
/// a single hop over more than one feature is `downtime` here, with a message naming the chain; platform:
/// rolling only from the last feature release before it, if its manifest says so.
HopAdvice advise_hop(const Version& from, const Version& to);

}  // namespace afloat::version
