#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "version/version.h"

/// What may roll: one table per product, as data, and the one lookup in it. Pure and reentrant.
namespace afloat::version {

enum class Product { afloat, confluence };
std::string_view to_string(Product product);
/// Errors: invalid_argument that names the products there are.
Result<Product> parse_product(std::string_view text);

/// What one column of the table says.
enum class Rule {
  rolling,
  downtime,
  chain,              ///< rolling as a chain of hops; a single hop over it needs downtime
  from_last_feature,  ///< rolling from the last feature release before it, if its manifest says so
};
std::string_view to_string(Rule rule);
/// "rolling, as a chain of hops", as the table is printed.
std::string_view words_of(Rule rule);

/// Every release 7.14.*: bugfix releases do not matter for what may roll.
struct FeatureLine {
  int major = 0, minor = 0;
  friend auto operator<=>(const FeatureLine&, const FeatureLine&) = default;
};
constexpr FeatureLine line_of(const Version& version) { return {version.major, version.minor}; }

struct PolicyRow {
  FeatureLine first, last;  ///< both are in it
  std::string_view from;    ///< the same in words: "7.9 to 7.13"
  Rule bugfix, next_feature, further, platform;
};
struct PolicyNote {
  FeatureLine line;
  std::string_view text;
};
struct Policy {
  Product product;
  std::span<const PolicyRow> rows;     ///< together they hold every version
  std::span<const PolicyNote> notes;   ///< where the table takes a reading of its own
  std::span<const FeatureLine> lts;    ///< known long term support; Afloat's manifests say it themselves
};
const Policy& policy_of(Product product);
const PolicyRow& row_for(const Policy& policy, const Version& from);
/// What whoever asks about this version must know; "" mostly.
std::string_view note_on(const Policy& policy, const Version& version);
bool is_lts(const Policy& policy, const Version& version);

enum class HopVerdict {
  rolling,
  downtime,
  same,
  downgrade,
  blocked,  ///< a required stop lies between: not even with downtime
};
std::string_view to_string(HopVerdict verdict);
struct HopAdvice {
  HopVerdict verdict;
  std::string message;  ///< why, for a person
};

/// What the release that one goes to says of itself, and what is known of those before it.
struct HopFacts {
  bool rolling = true;                      ///< its manifest's `rolling`
  std::optional<Version> upgrade_from_min;  ///< nobody below it may come, whatever the way
  std::vector<Version> required_stops;      ///< whoever comes from below one of them finalizes there, or above, first
  bool from_last_feature = false;           ///< no feature release is known between the two
};

/// The verdict alone, for those who ask often.
HopVerdict hop_verdict(const Policy& policy, const Version& from, const Version& to, const HopFacts& facts = {});
HopAdvice advise_hop(const Policy& policy, const Version& from, const Version& to, const HopFacts& facts = {});
/// Afloat's own table, for those who know no manifest: a platform release is `downtime`, and a single hop over more
/// than one feature release too, with a message naming the chain.
HopAdvice advise_hop(const Version& from, const Version& to);

}  // namespace afloat::version
