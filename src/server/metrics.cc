#include "server/metrics.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

namespace afloat::server {

namespace {

std::optional<std::int64_t> resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  if (!(file >> total >> resident)) return std::nullopt;
  return resident * sysconf(_SC_PAGESIZE);
}

std::optional<std::int64_t> open_handles() {
  std::error_code error;
  std::int64_t count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error))
    ++count;
  if (error) return std::nullopt;
  return count - 1;  // the one that reads the folder
}

std::int64_t sum(const std::atomic<std::int64_t>& a, const std::atomic<std::int64_t>& b) {
  return a.load(std::memory_order_relaxed) + b.load(std::memory_order_relaxed);
}

}  // namespace

std::int64_t Metrics::Tally::requests() const {
  std::int64_t sum = 0;
  for (const auto& family : responses) sum += family.load(std::memory_order_relaxed);
  return sum;
}

rollout::NodeSample Metrics::of_clients(std::int64_t at_ms) const {
  rollout::NodeSample sample;
  sample.at_ms = at_ms;
  sample.requests = clients_.requests();
  sample.errors = clients_.responses[5].load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < limits.size(); ++i)
    sample.within_seconds[static_cast<double>(limits[i]) / 1e6] = clients_.buckets[i].load(std::memory_order_relaxed);
  return sample;
}

std::string Metrics::text(std::string_view node, std::string_view version, int in_flight, int streams, int connections,
                          int tasks_running, int active_users) const {
  std::string out;
  auto gauge = [&](std::string_view name, std::string_view help, std::int64_t value) {
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n{0} {2}\n", name, help, value);
  };
  out += fmt::format("# HELP afloat_build_info This node.\n# TYPE afloat_build_info gauge\nafloat_build_info{{node=\"{}\",version=\"{}\"}} 1\n",
                     node, version);
  out += "# HELP afloat_responses_total Responses by status class.\n# TYPE afloat_responses_total counter\n";
  for (std::size_t i = 1; i < clients_.responses.size(); ++i)
    out += fmt::format("afloat_responses_total{{class=\"{}xx\"}} {}\n", i,
                       sum(clients_.responses[i], probes_.responses[i]));
  out += "# HELP afloat_request_seconds Time from header to answer.\n# TYPE afloat_request_seconds histogram\n";
  for (std::size_t i = 0; i < limits.size(); ++i)
    out += fmt::format("afloat_request_seconds_bucket{{le=\"{}\"}} {}\n", static_cast<double>(limits[i]) / 1e6,
                       sum(clients_.buckets[i], probes_.buckets[i]));
  out += fmt::format("afloat_request_seconds_bucket{{le=\"+Inf\"}} {0}\nafloat_request_seconds_count {0}\nafloat_request_seconds_sum {1:.6f}\n",
                     clients_.requests() + probes_.requests(), static_cast<double>(sum(clients_.micros, probes_.micros)) / 1e6);
  out += fmt::format("# HELP afloat_unknown_outcomes_total Writes whose answer was lost.\n# TYPE afloat_unknown_outcomes_total counter\nafloat_unknown_outcomes_total {}\n",
                     unknown_.load(std::memory_order_relaxed));
  out += fmt::format("# HELP afloat_cache_hits_total Rendered pages from the cache.\n# TYPE afloat_cache_hits_total counter\nafloat_cache_hits_total {}\n", cache_hits.load());
  out += fmt::format("# HELP afloat_cache_misses_total Rendered pages that were not cached.\n# TYPE afloat_cache_misses_total counter\nafloat_cache_misses_total {}\n", cache_misses.load());
  // Under the names that every Prometheus client library gives them.
  if (const auto resident = resident_bytes()) gauge("process_resident_memory_bytes", "Memory in use.", *resident);
  if (const auto handles = open_handles()) gauge("process_open_fds", "Open file handles.", *handles);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    gauge("process_max_fds", "Most file handles that may be open.", static_cast<std::int64_t>(limit.rlim_cur));
  gauge("afloat_in_flight", "Requests being answered.", in_flight);
  gauge("afloat_streams", "Open event streams.", streams);
  gauge("afloat_connections", "Open connections.", connections);
  gauge("afloat_tasks_running", "Long-running tasks on this node.", tasks_running);
  gauge("afloat_active_users", "Signed-in users with a request here in the last five minutes.", active_users);
  return out;
}

}  // namespace afloat::server
