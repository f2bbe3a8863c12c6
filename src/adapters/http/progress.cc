#include "adapters/http/progress.h"

#include <fmt/format.h>

namespace afloat::http {

std::optional<std::string> TransferProgress::judge(std::int64_t moved_bytes, SteadyTime now) {
  if (moved_bytes > moved_) {
    moved_ = moved_bytes;
    moved_at_ = now;
  }
  const double seconds = std::chrono::duration<double>(pace_.patience).count();
  if (now - moved_at_ >= pace_.patience) return fmt::format("nothing moved for {:.3g} s", seconds);
  if (now - window_began_ < pace_.patience) return std::nullopt;
  const auto in_window = moved_ - moved_before_window_;
  const double rate = static_cast<double>(in_window) / std::chrono::duration<double>(now - window_began_).count();
  window_began_ = now;
  moved_before_window_ = moved_;
  if (rate >= static_cast<double>(pace_.min_bytes_per_second)) return std::nullopt;
  return fmt::format("{:.0f} bytes/s over {:.3g} s, at least {} are asked for", rate, seconds, pace_.min_bytes_per_second);
}

}  // namespace afloat::http
