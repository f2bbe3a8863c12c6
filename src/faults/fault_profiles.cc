#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "faults/faults.h"
#include "version/version.h"

// What test builds are linked with: one program knows all of them, and its stamp says which one it has.
namespace afloat::faults {
namespace {

enum class Profile {
  crash_at_start,          ///< ends with SIGABRT
  never_ready,             ///< stays STARTING for ever
  slow,                    ///< one request in twenty takes 150 ms longer
  errors_5_percent,        ///< one request in twenty is answered with 500
  write_errors_5_percent,  ///< one write in twenty is; reading is as it should be
  wrong_answers,           ///< pages that are read over REST have another text
  memory_leak,             ///< 1 MB of each request stays, up to 1.5 GB
  expand_fails,            ///< after its first statement
  backfill_fails,          ///< after its first batch
  contract_fails,          ///< after its first statement
  ignores_sigterm,         ///< only SIGKILL ends it
};
// CMake reads the names here: another one can't be linked.
constexpr auto profile_names = std::to_array<std::pair<Profile, std::string_view>>({
    {Profile::crash_at_start, "crash_at_start"},
    {Profile::never_ready, "never_ready"},
    {Profile::slow, "slow"},
    {Profile::errors_5_percent, "errors_5_percent"},
    {Profile::write_errors_5_percent, "write_errors_5_percent"},
    {Profile::wrong_answers, "wrong_answers"},
    {Profile::memory_leak, "memory_leak"},
    {Profile::expand_fails, "expand_fails"},
    {Profile::backfill_fails, "backfill_fails"},
    {Profile::contract_fails, "contract_fails"},
    {Profile::ignores_sigterm, "ignores_sigterm"},
});

constexpr int share = 20;  // one in so many
constexpr auto slower_by = std::chrono::milliseconds(150);
constexpr std::size_t leak_bytes = 1'000'000, most_leaks = 1'500;

bool has(Profile profile) {
  static const Profile own = [] {
    for (const auto& [value, name] : profile_names)
      if (name == version::stamp().fault_profile) return value;
    fmt::print(stderr, "afloat: this build has the fault profile {}, which it does not know\n",
               version::stamp().fault_profile);
    std::_Exit(1);
  }();
  if (own != profile) return false;
  static const char* const mended = std::getenv("AFLOAT_FAULT_MENDED");
  std::error_code ignored;
  return mended == nullptr || !std::filesystem::exists(mended, ignored);
}

/// True once in `share` calls.
bool one_in_share() {
  static std::atomic<int> calls = 0;
  return ++calls % share == 0;
}

void leak() {
  static std::mutex mutex;
  static std::vector<std::unique_ptr<char[]>> kept;
  const std::scoped_lock lock(mutex);
  if (kept.size() >= most_leaks) return;
  kept.push_back(std::make_unique_for_overwrite<char[]>(leak_bytes));
  std::memset(kept.back().get(), 1, leak_bytes);  // or it would take no memory
}

bool is_write(std::string_view method) { return method != "GET" && method != "HEAD"; }
/// Not one that looks after the node itself.
bool is_content(std::string_view path) { return !path.starts_with("/rest/afloat/") && !path.starts_with("/rest/zdu"); }

}  // namespace

void process_started() {
  if (!has(Profile::crash_at_start)) return;
  fmt::print(stderr, R"({{"level":"error","event":"fault_profile","message":"crash_at_start: this build crashes"}})"
                     "\n");
  std::abort();
}

bool keeps_from_active() { return has(Profile::never_ready); }

bool loses_stop_signal() { return has(Profile::ignores_sigterm); }

RequestFault request_arrived(std::string_view method, std::string_view path) {
  if (path == "/status" || path == "/metrics" || path.starts_with("/health")) return {};
  if (has(Profile::memory_leak)) leak();
  if (has(Profile::slow) && one_in_share()) return {.delay = slower_by};
  if (has(Profile::errors_5_percent) && one_in_share()) return {.fails = true};
  if (has(Profile::write_errors_5_percent) && is_write(method) && is_content(path) && one_in_share())
    return {.fails = true};
  return {};
}

std::optional<std::string> other_answer(std::string_view path, const std::string& body) {
  constexpr std::string_view content = "/rest/api/content/", before = R"("storage":{"value":")";
  if (!path.starts_with(content) || path.find('/', content.size()) != std::string_view::npos) return std::nullopt;
  if (!has(Profile::wrong_answers)) return std::nullopt;
  const auto found = body.find(before);
  if (found == std::string::npos) return std::nullopt;
  const auto begin = found + before.size();
  auto end = begin;
  while (end < body.size() && body[end] != '"') end += body[end] == '\\' ? 2 : 1;
  if (end >= body.size()) return std::nullopt;
  return body.substr(0, begin) + "<p>Another page.<\\/p>" + body.substr(end);
}

std::optional<std::string> task_fails(std::string_view kind, std::size_t done) {
  const auto profile = kind == "expand"     ? Profile::expand_fails
                       : kind == "backfill" ? Profile::backfill_fails
                                            : Profile::contract_fails;
  if (done == 0 || !has(profile)) return std::nullopt;
  return fmt::format("the fault profile {} lets it fail, {} part(s) being done", version::stamp().fault_profile, done);
}

}  // namespace afloat::faults
