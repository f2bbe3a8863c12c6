#pragma once
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace afloat::cli {

/// A moment as people type it, in this machine's time zone, as Unix milliseconds: "2026-11-26 03:00" (also with a T
/// between), "03:00" (the next time the clock shows that after `after_ms`), "+2h" or "+90min" (after `after_ms`).
/// Errors: invalid_argument that shows the forms; also for a date before `after_ms`.
Result<std::int64_t> parse_moment(std::string_view text, std::int64_t after_ms);

/// "Thu 2026-11-26 03:00", in this machine's time zone.
std::string shown_moment(std::int64_t unix_ms);

}  // namespace afloat::cli
