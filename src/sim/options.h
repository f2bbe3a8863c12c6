#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace afloat::sim {

/// Known mistakes that can be switched on, to see that the simulation finds them.
enum class Bug {
  none,
  no_fence,                      ///< writes do not look at the writer window
  drain_does_not_wait,           ///< a node calls itself drained at once, and ends with requests in flight
  journal_after_act,             ///< the journal hears of a step only when the next one begins
  lease_without_epoch,           ///< neither agents nor the journal ask which leader commands
  finalize_with_unknown_member,  ///< approve does not ask members whose lease is over
  notify_trusted,                ///< caches believe that every NOTIFY arrives
};
inline constexpr auto planted_bugs = std::to_array<std::pair<Bug, std::string_view>>({
    {Bug::no_fence, "no-fence"},
    {Bug::drain_does_not_wait, "drain-does-not-wait"},
    {Bug::journal_after_act, "journal-after-act"},
    {Bug::lease_without_epoch, "lease-without-epoch"},
    {Bug::finalize_with_unknown_member, "finalize-with-unknown-member"},
    {Bug::notify_trusted, "notify-trusted"},
});

/// How often something happened; by name.
using Coverage = std::map<std::string, std::int64_t>;

struct SeedResult {
  std::uint64_t seed = 0;
  std::string invariant;  ///< the broken one; "" when all hold
  std::string violation;
  std::vector<std::string> last_events;
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;
  std::int64_t simulated_ms = 0;
  std::string outcome;  ///< of the last run: done, cancelled, paused
  std::string reason;   ///< of a pause
  bool ok() const { return invariant.empty(); }
};

}  // namespace afloat::sim
