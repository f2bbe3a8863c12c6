#include "cli/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "cli/load_engine.h"

namespace afloat::cli {
namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
namespace {

constexpr auto await = asio::as_tuple(asio::use_awaitable);
constexpr auto answer_limit = std::chrono::seconds(10);
constexpr auto late_after = milliseconds(50);
/// An edit is two requests (read the version, write the next), so 100 actions are 112 requests.
constexpr double requests_per_action = 1.12;

double since_ms(SteadyTime from, SteadyTime to) { return std::chrono::duration<double, std::milli>(to - from).count(); }

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

Load::Load(asio::io_context& context, LoadOptions options, SiteAddress address, LedgerWriter& ledger)
    : context_(context),
      options_(std::move(options)),
      pool_(context.get_executor(), std::move(address), options_.connections),
      ledger_(ledger),
      random_(std::random_device{}()),
      run_(random_hex(4)) {}

std::size_t Load::random(std::size_t count) {
  return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
}

std::int64_t Load::unix_ms(SteadyTime time) const {
  return started_unix_ms_ + std::chrono::duration_cast<milliseconds>(time - started_).count();
}

Counters Load::counters_now() const {
  Counters c = counters_;
  c.at_ms = unix_ms(steady_clock::now());
  return c;
}

std::string Load::message(const User& user, std::string_view method, std::string_view target,
                          std::string_view content_type, std::string_view body) const {
  return request_bytes(pool_.address(), method, target, user.headers, content_type, body);
}

void Load::record(std::string_view kind, Due due, const Answer& answer, std::string failure) {
  if (!due.counts) return;
  Outcome outcome{unix_ms(due.at), std::string(kind), since_ms(due.at, answer.ended_at), std::move(failure),
                  answer.node};
  ++total_;
  counters_.sent += answer.sent;
  counters_.late += answer.sent && answer.sent_at - due.at > late_after;
  second_.push_back(outcome.latency_ms);
  if (!outcome.failure.empty() && ++failed_ <= 20 && !options_.quiet)
    fmt::print(stderr, "failed: {} after {:.0f} ms: {}\n", outcome.kind, outcome.latency_ms, outcome.failure);
  ledger_.outcome(outcome);
}

void Load::acknowledge(const WriteRecord& record) {
  acknowledged_ += record.certainty == Certainty::acknowledged;
  ledger_.write(record);
}

Async<std::string> Load::request(std::string_view kind, Due due, std::string bytes,
                                 std::function<std::string(const Answer&)> check) {
  const Answer answer = co_await pool_.exchange(std::move(bytes), due.at + answer_limit);
  std::string failure = check(answer);
  if (failure.empty() && answer.ended_at - due.at > answer_limit) failure = "timeout: answered after more than 10 s";
  record(kind, due, answer, failure);
  co_return failure;
}

Async<void> Load::perform(Kind kind, Due due) {
  switch (kind) {
    case Kind::view:
      co_await view(due);
      break;
    case Kind::home:
      co_await home(due);
      break;
    case Kind::create:
      co_await create(due, random(users_.size()));
      break;
    case Kind::edit:
      co_await edit(due);
      break;
    case Kind::upload:
      co_await upload(due);
      break;
    case Kind::download:
      co_await download(due);
      break;
    case Kind::search:
      co_await search(due);
      break;
    case Kind::children:
    case Kind::labels:
    case Kind::history:
      co_await small_read(kind, due);
      break;
  }
}

Async<void> Load::every_second() {
  asio::steady_timer timer(context_);
  std::int64_t before = 0;
  for (SteadyTime next = started_ + std::chrono::seconds(1); !finished_; next += std::chrono::seconds(1)) {
    timer.expires_at(next);
    co_await timer.async_wait(await);
    if (finished_) break;
    ledger_.counters(counters_now());
    if (!options_.quiet) {
      const auto p99 = percentile(second_, 0.99);
      fmt::print("{:>4} s  {:>5} requests/s  failed {:<4} p50 {:>6.1f} ms  p99 {:>7.1f} ms  acknowledged writes {}\n",
                 std::chrono::duration_cast<std::chrono::seconds>(next - started_).count(), total_ - before, failed_,
                 percentile(second_, 0.5), p99, acknowledged_);
      std::fflush(stdout);
    }
    before = total_;
    second_.clear();
  }
}

Async<void> Load::housekeeping() {
  asio::steady_timer timer(context_);
  while (!finished_) {
    timer.expires_after(milliseconds(50));
    co_await timer.async_wait(await);
    if (auto flushed = ledger_.flush(); !flushed) {
      ledger_state_ = flushed;
      stopping_ = true;
    }
    std::error_code ignored;
    if (!options_.until_file.empty() && std::filesystem::exists(options_.until_file, ignored)) stopping_ = true;
  }
}

Async<void> Load::run() {
  // 100 actions in a shuffled order, again and again: the mix is exact, not only on average.
  struct Share {
    Kind kind;
    int percent;
  };
  static constexpr auto mix = std::to_array<Share>({{Kind::view, 46},
                                                    {Kind::home, 10},
                                                    {Kind::create, 7},
                                                    {Kind::edit, 12},
                                                    {Kind::upload, 7},
                                                    {Kind::download, 6},
                                                    {Kind::search, 4},
                                                    {Kind::children, 3},
                                                    {Kind::labels, 2},
                                                    {Kind::history, 3}});
  std::vector<Kind> deck;
  for (const auto& [kind, percent] : mix) deck.insert(deck.end(), static_cast<std::size_t>(percent), kind);

  started_ = steady_clock::now();
  started_unix_ms_ =
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  ledger_.meta(
      {run_, options_.site, options_.space, options_.write_space, options_.rate, options_.users, started_unix_ms_});
  if (!options_.ready_file.empty()) std::ofstream(options_.ready_file) << started_unix_ms_ << "\n";
  const auto rethrow = [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  };
  asio::co_spawn(context_, every_second(), rethrow);
  asio::co_spawn(context_, housekeeping(), rethrow);

  const std::chrono::duration<double> gap(requests_per_action / options_.rate);
  asio::steady_timer timer(context_);
  for (std::size_t i = 0; !stopping_; ++i) {
    const auto at = started_ + std::chrono::duration_cast<steady_clock::duration>(gap * static_cast<double>(i));
    if (at - started_ >= std::chrono::seconds(options_.seconds)) break;
    if (at > steady_clock::now()) {
      timer.expires_at(at);
      co_await timer.async_wait(await);
    }
    if (i % deck.size() == 0) std::shuffle(deck.begin(), deck.end(), random_);
    const Kind kind = deck[i % deck.size()];
    counters_.offered += kind == Kind::edit ? 2 : 1;
    ++in_flight_;
    asio::co_spawn(context_, perform(kind, {at}), [this](std::exception_ptr failure) {
      --in_flight_;
      if (failure) std::rethrow_exception(failure);
    });
  }
  const auto last_moment = steady_clock::now() + answer_limit * 2 + std::chrono::seconds(1);
  while (in_flight_ > 0 && steady_clock::now() < last_moment) {
    timer.expires_after(milliseconds(20));
    co_await timer.async_wait(await);
  }
  finished_ = true;
  ledger_.end(counters_now());
  if (auto flushed = ledger_.flush(); !flushed) ledger_state_ = flushed;
}

LoadSummary Load::summary() const {
  LoadSummary summary{counters_now(), total_, failed_, acknowledged_, {}};
  const auto& c = summary.counters;
  if (failed_ > 0) summary.reasons.push_back(fmt::format("{} of {} requests failed", failed_, total_));
  if (static_cast<double>(c.sent) < 0.98 * static_cast<double>(c.offered))
    summary.reasons.push_back(
        fmt::format("only {} of {} requests that were due could be sent (98 % are needed for the "
                    "measurement to count)",
                    c.sent, c.offered));
  if (!ledger_state_) summary.reasons.push_back(ledger_state_.error().message());
  return summary;
}

Result<LoadSummary> run_load(const LoadOptions& options) {
  auto address = parse_site_address(options.site);
  if (!address) return std::unexpected(address.error());
  auto ledger = LedgerWriter::create(options.ledger);
  if (!ledger) return std::unexpected(ledger.error());
  asio::io_context context(1);
  Load load(context, options, *address, **ledger);
  Result<void> prepared;
  asio::co_spawn(context, load.prepare(), [&](std::exception_ptr failure, Result<void> result) {
    if (failure) std::rethrow_exception(failure);
    prepared = std::move(result);
  });
  context.run();
  if (!prepared) return std::unexpected(prepared.error());

  context.restart();
  asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) load.stop();
  });
  asio::co_spawn(context, load.run(), [&](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    signals.cancel();
  });
  context.run();
  return load.summary();
}

}  // namespace afloat::cli
