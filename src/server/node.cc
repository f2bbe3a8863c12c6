#include "server/node.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <thread>

#include "adapters/files/blob_store.h"
#include "adapters/http/server.h"
#include "adapters/http/tls_watch.h"
#include "adapters/postgres/database.h"
#include "base/hash.h"
#include "cluster/admission.h"
#include "faults/faults.h"
#include "rollout/series.h"
#include "server/finalizer.h"
#include "server/identity.h"
#include "server/load_average.h"
#include "server/log.h"
#include "server/node_facts.h"
#include "server/shard.h"
#include "server/start_checks.h"
#include "store/cluster_store.h"
#include "store/finalize_steps.h"
#include "store/health_store.h"
#include "store/node_series.h"
#include "store/page_body.h"
#include "store/run_store.h"
#include "store/upgrade_task.h"
#include "store/user_store.h"
#include "version/version.h"

namespace afloat::server {

namespace asio = boost::asio;
using cluster::NodeState;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr auto heartbeat_interval = milliseconds(1000);
constexpr auto database_patience = seconds(60);  // a database that is restarted with the whole machine
constexpr auto lease_margin = milliseconds(1000);  // the holder gives up earlier than the grantor

// CLOCK_BOOTTIME goes on while the machine sleeps, so a node that wakes up knows that its lease is over.
std::int64_t boottime_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

class Node final : public NodeControl {
 public:
  Node(const SiteConfig& site, const NodeConfig& config, NodeOptions options, std::string id, std::shared_ptr<http::TlsIdentity> tls)
      : site_(site), config_(config), options_(std::move(options)), tls_(std::move(tls)), blobs_(files::make_blob_store(site.shared_home, pool_)),
        timer_(io_.get_executor()), wake_(io_.get_executor()) {
    info_.id = std::move(id);
    info_.name = config.name;
    info_.version = version::to_string(version::this_version());
    info_.build = version::this_build();
    info_.incarnation = random_uuid();
    info_.address = config.address;
    info_.port = config.port;
    database_options_.connection = site.database;
    database_options_.application_name = fmt::format("afloat/{}/{}", info_.name, info_.build);
    database_options_.build = info_.build;
    database_options_.on_shut_out = [this](std::string message) { shut_out(std::move(message)); };
    auto control = database_options_;
    control.write_connections = 1;
    control.exclusive_connections = 2;
    database_ = postgres::make_database(io_, pool_, control);
    cluster_ = store::make_cluster_store(*database_, clock_, timer_);
    auto tasks = control;
    tasks.exclusive_connections = 1;
    tasks.statement_timeout_ms = 0;
    tasks_database_ = postgres::make_database(io_, pool_, tasks);
    finalizer_ = std::make_unique<Finalizer>(*tasks_database_, *cluster_, clock_, timer_, info_.build, info_.version, info_.name);
    finalizer_->watch_load([this] { return load_.share(); });
  }

  int run() {
    spawn(io_.get_executor(), "the node", [this] { return live(); });
    io_.run();
    for (auto& shard : shards_) shard->stop_and_join();
    pool_.join();
    hashing_.join();
    return exit_code_;
  }

  /// After run(): its id is of no more use.
  bool is_member_no_more() const { return is_member_no_more_; }

  // NodeControl; called from shards.
  NodeState state() const override { return state_.load(); }
  bool lease_valid() const override { return boottime_ms() < lease_valid_until_.load(); }
  Task<DrainView> drain(std::string actor, Balancer told_by) override {
    co_return co_await asio::co_spawn(io_, begin_drain(std::move(actor), told_by), asio::use_awaitable);
  }
  Task<DrainView> undrain(std::string actor) override {
    co_return co_await asio::co_spawn(io_, end_drain(std::move(actor)), asio::use_awaitable);
  }
  DrainView drain_view() const override {
    DrainView view;
    view.state = state();
    for (const auto& shard : shards_) {
      view.in_flight += shard->server().in_flight();
      view.streams += shard->server().streams();
    }
    view.tasks_running = tasks_running_->load();
    // The request that asks is one of those in flight.
    view.drained = view.state == NodeState::DRAINING && view.in_flight <= 1 && view.streams == 0 && view.tasks_running == 0;
    if (view.state == NodeState::DRAINING && !view.drained)
      for (const auto& shard : shards_)
        for (auto& name : shard->server().in_flight_names()) view.overdue.push_back(std::move(name));
    return view;
  }
  std::string not_ready_because() const override {
    if (state() != NodeState::ACTIVE) return fmt::format("The node is {}.", cluster::to_string(state()));
    if (!lease_valid()) return "The node's lease in the database has lapsed; it renews it.";
    return {};
  }
  std::string metrics_text() const override {
    int in_flight = 0, streams = 0, connections = 0;
    for (const auto& shard : shards_) {
      in_flight += shard->server().in_flight();
      streams += shard->server().streams();
      connections += shard->server().connections();
    }
    return metrics_.text(info_.name, info_.version, in_flight, streams, connections, tasks_running_->load(), active_users_.load());
  }

 private:
  Deadline in(milliseconds time) const { return clock_.steady_now() + time; }

  Async<void> live() {
    asio::signal_set signals(io_, SIGTERM, SIGINT);
    signals.async_wait([this](boost::system::error_code error, int) {
      if (!error) on_stop_signal();
    });
    http::watch_certificate(io_, pool_, tls_, [](http::Notice notice, std::string message) {
      log(notice == http::Notice::info ? Level::info : notice == http::Notice::warning ? Level::warning : Level::error, "tls",
          {{"message", std::move(message)}});
    });
    auto started = co_await start();
    if (!started) {
      log(Level::error, "start_failed", {{"message", started.error().message()}});
      exit_code_ = started.error().code() == "refused" ? exit_refused : exit_error;
      co_await leave();
      co_return;
    }
    if (stopping_ && state() != NodeState::ACTIVE) {
      log(Level::info, "stopped_while_starting");
      signals.cancel();
      co_await leave();
      co_return;
    }
    log(Level::info, "active", {{"version", info_.version}, {"milliseconds", std::to_string(clock_.unix_ms() - options_.started_at_ms)}});
    spawn(io_.get_executor(), "the heartbeat", [this] { return beat(); });
    spawn(io_.get_executor(), "the finalizer", [this] { return finalize(); });
    spawn(io_.get_executor(), "the node's facts", [this] { return tell_facts(); });
    spawn(io_.get_executor(), "the notice of a downtime", [this] { return look_for_downtime(); });
    spawn(io_.get_executor(), "the node's series", [this] { return tell_series(); });
    while (!stopping_ && !failed_) co_await wake_.wait_until(SteadyTime::max());
    signals.cancel();
    if (failed_) {
      co_await leave();
      co_return;
    }
    co_await stop();
  }

  // ---- start

  Task<void> start() {
    listener_ = std::make_unique<postgres::Listener>(io_, database_options_, "afloat_cluster", [this] { wake_.notify_all(); });
    if (auto admitted = co_await be_admitted(); !admitted || stopping_) co_return admitted;
    auto lease = co_await renew();
    if (!lease) co_return lease;
    if (!options_.admin_password.empty()) {
      auto made = co_await ensure_administrator(*database_, gates_, options_.admin_password, in(seconds(10)));
      if (!made) co_return std::unexpected(made.error());
    } else if (auto anyone = co_await store::list_users(*database_, 0, 1, in(seconds(10))); anyone && anyone->empty()) {
      log(Level::info, "first_run",
          {{"message", fmt::format("Nobody has an account yet. Make the first one at {}/setup; the setup code is in "
                                   "{}/setup-code as soon as that page has been opened.",
                                   site_.base_url, site_.shared_home)}});
    }
    auto failed = co_await fail_unfinished_tasks(*database_, gates_, info_.name, in(seconds(10)));
    if (!failed) co_return failed;
    auto key = site_key(site_.shared_home);
    if (!key) co_return std::unexpected(key.error());
    // Sign-ins come in crowds, to a node that has just started most of all; they must not slow down who is signed in.
    asio::post(hashing_, [] { setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 5); });
    for (int i = 0; i < config_.threads; ++i) {
      auto options = database_options_;
      options.write_connections = std::max(1, site_.write_connections / config_.threads);
      const auto database = [this, options](asio::io_context& io) { return postgres::make_database(io, pool_, options); };
      auto shard = Shard::make({site_, config_, info_, options_.web, database, clock_, pool_, hashing_, *key, *blobs_, metrics_, *this, auth_shared_, tasks_running_});
      if (!shard) co_return std::unexpected(shard.error());
      shards_.push_back(std::move(*shard));
    }
    for (auto& shard : shards_) {
      if (auto listening = shard->listen(config_.address, config_.port, tls_); !listening) co_return listening;
      shard->start();
    }
    for (auto& shard : shards_) {
      auto warm = co_await asio::co_spawn(shard->io(), shard->warm_up(in(seconds(20))), asio::use_awaitable);
      if (!warm) co_return warm;
    }
    while (faults::keeps_from_active() && !stopping_ && !failed_) co_await wake_.wait_until(in(milliseconds(200)));
    if (stopping_) co_return Result<void>{};
    co_return co_await change_state(NodeState::ACTIVE, false);
  }

  Task<void> be_admitted() {
    cluster::Candidate candidate;
    candidate.id = info_.id;
    candidate.name = info_.name;
    candidate.host = config_.host;
    candidate.address = info_.address;
    candidate.port = info_.port;
    candidate.version = version::this_version();
    candidate.build = info_.build;
    candidate.digest = options_.digest;
    candidate.incarnation = info_.incarnation;
    candidate.config_hash = site_.hash;
    candidate.ephemeral = options_.ephemeral;
    candidate.clustering_allowed = site_.edition == "data-center";
    candidate.started_at_ms = options_.started_at_ms;
    std::string told;
    const auto began = clock_.steady_now();
    const auto patience = began + database_patience;
    auto tell_again = began;
    bool looked = false;
    while (!stopping_) {
      // Asked for before anything is done to the database.
      Result<void> ready;
      if (!looked) ready = co_await look_around();
      looked = looked || ready.has_value();
      auto decision = ready ? co_await cluster_->admit(candidate, in(seconds(30)))
                            : Result<cluster::AdmissionDecision>(std::unexpected(ready.error()));
      const auto now = clock_.steady_now();
      if (!decision && decision.error().kind() == ErrorKind::unavailable && decision.error().code() != database_refuses) {
        const auto waited = std::chrono::duration_cast<seconds>(now - began).count();
        if (now >= patience)
          co_return fail(ErrorKind::unavailable, fmt::format("{} Waited {} s for it.", decision.error().message(), waited));
        if (told != decision.error().message() || now >= tell_again) {
          log(Level::warning, "database_unavailable",
              {{"message", fmt::format("{} Waiting for it: {} s so far, at most {} s.", decision.error().message(), waited,
                                       database_patience.count())}});
          tell_again = now + seconds(10);
        }
        told = decision.error().message();
        auto slept = co_await timer_.sleep_until(in(milliseconds(300)));
        (void)slept;
        continue;
      }
      if (!decision) co_return std::unexpected(decision.error());
      using cluster::AdmissionOutcome;
      switch (decision->outcome) {
        case AdmissionOutcome::bootstrap:
        case AdmissionOutcome::admit:
        case AdmissionOutcome::admit_as_target:
          log(Level::info, "admitted", {{"outcome", std::string(cluster::to_string(decision->outcome))}, {"version", info_.version}});
          co_return Result<void>{};
        case AdmissionOutcome::refuse:
          if (options_.ephemeral && decision->reason == "removed") {
            is_member_no_more_ = true;  // its next start is another member
            co_return fail(ErrorKind::conflict, decision->message);
          }
          co_return fail(ErrorKind::failed_precondition, decision->message, "refused");
        case AdmissionOutcome::wait:
          if (clock_.steady_now() >= patience) co_return fail(ErrorKind::failed_precondition, decision->message, "refused");
          if (told != decision->reason) log(Level::warning, "admission_waits", {{"message", decision->message}});
          told = decision->reason;
          break;
        case AdmissionOutcome::await_expand: {
          // Nobody has prepared the schema for this release yet (an upgrade by hand): the first new node does.
          store::TaskRunner runner(*tasks_database_, clock_, timer_, info_.build, info_.name);
          auto expanded = co_await runner.expand([](std::string line) { log(Level::info, "expand", {{"message", std::move(line)}}); },
                                                 in(std::chrono::minutes(10)));
          if (!expanded) co_return expanded;
          continue;
        }
      }
      auto slept = co_await timer_.sleep_until(in(milliseconds(200)));
      if (!slept) co_return slept;
    }
    co_return Result<void>{};  // told to stop: whoever called looks
  }

  Task<void> look_around() {
    auto view = co_await look_at_database(*database_, in(seconds(10)));
    if (!view) co_return std::unexpected(view.error());
    if (auto judged = judge_unknown_keys(site_, view->upgrade_mode); !judged) co_return judged;
    for (const auto& key : site_.unknown_keys)
      log(Level::warning, "configuration", {{"message", key + " It is ignored while upgrade mode is on."}});
    co_return check_shared_home(site_, *view);
  }

  Task<void> change_state(NodeState state, bool close) {
    auto done = co_await cluster_->set_state(info_.id, info_.incarnation, state, close, in(seconds(3)));
    if (!done) co_return done;
    state_ = state;
    co_return co_await store::wake_cluster(*database_, in(seconds(1)));
  }

  // ---- lease

  Task<void> renew() {
    Heartbeat beat;
    beat.id = info_.id;
    beat.incarnation = info_.incarnation;
    beat.state = state();
    beat.gates_in_use = lowest_gates();
    beat.tasks_running = tasks_running_->load();
    beat.active_users = active_users_.load();
    beat.load = load_.share();
    const auto sent = boottime_ms();
    auto lease = co_await cluster_->renew(beat, in(seconds(3)));
    if (!lease) co_return std::unexpected(lease.error());
    if (!lease->held)
      co_return fail(ErrorKind::failed_precondition,
                     "This start of the node is closed: it was removed, or another process took its place. It stops; if it should be a member, start it again.", "lease_lost");
    const auto& s = lease->state;
    if (s.epoch < epoch_seen_)
      co_return fail(ErrorKind::failed_precondition,
                     fmt::format("The database went back in time (cluster state {} after {}): it was restored or failed over. This node stops and obeys what the database says when it starts again.", s.epoch, epoch_seen_), "lease_lost");
    // The finalizer decides on what was just read, so it is told (the heartbeat itself does not wait here).
    if (s.epoch != epoch_seen_) asio::post(io_, [this] { wake_.notify_all(); });
    epoch_seen_ = s.epoch;
    const bool widened_late = s.mode == cluster::Mode::on && !s.expand_done && s.target_build == info_.build;
    if ((info_.build < s.min_build || info_.build > s.max_build) && !widened_late)
      shut_out(fmt::format("The site accepts writes of builds {} to {}, and this node is build {} ({}). It stops.", s.min_build, s.max_build, info_.build, info_.version));
    // Answering again after a lapse: what was cached before may be long out of date.
    if (!lease_valid() && lease_valid_until_.load() != 0)
      for (auto& shard : shards_) shard->post([shard = shard.get()] { shard->context().changes.reset(); });
    lease_valid_until_ = sent + lease->ttl_ms - lease_margin.count();
    state_seen_ = s;
    if (s.gates != gates_.number || s.cluster_build != gates_.cluster_build) {
      gates_ = {s.gates, s.cluster_build};
      log(Level::info, "gates", {{"number", std::to_string(s.gates)}, {"cluster_version", s.cluster_version}});
      for (auto& shard : shards_) shard->post([shard = shard.get(), gates = gates_] { shard->context().gates.update(gates); });
    }
    co_return Result<void>{};
  }

  int lowest_gates() const {
    int lowest = gates_.number;
    for (const auto& shard : shards_)
      if (shard->lowest_gates() != 0) lowest = std::min(lowest, shard->lowest_gates());
    return lowest;
  }

  Async<void> beat() {
    int reported = 0;
    std::int64_t beats = 0;
    auto measured_at = clock_.steady_now();
    load_.add(measured_at, busy_time(), shards_.size());
    while (!failed_ && !gone_) {
      reported = lowest_gates();
      auto renewed = co_await renew();
      if (!renewed) {
        if (renewed.error().code() == "lease_lost") {
          fail_node(renewed.error().message(), exit_error);
          break;
        }
        log(Level::warning, "heartbeat_failed", {{"message", renewed.error().message()}});
      }
      if (!shards_.empty()) active_users_ = shards_.front()->context().auth.active_users();
      if (++beats % 60 == 0) {
        auto trimmed = co_await store::trim_change_log(*database_, in(seconds(5)));
        (void)trimmed;
      }
      if (beats % 3600 == 0) {
        auto collected = co_await store::collect_bodies(*tasks_database_, gates_, in(std::chrono::minutes(1)));
        if (!collected) log(Level::warning, "bodies_not_collected", {{"message", collected.error().message()}});
      }
      const auto now = clock_.steady_now();
      if (now - measured_at >= seconds(2)) {
        load_.add(now, busy_time(), shards_.size());
        measured_at = now;
      }
      // Others wait for us at the barrier: say at once when the last request with older gates has ended.
      const bool behind = reported < gates_.number;
      co_await wake_.wait_until(in(behind ? milliseconds(5) : !renewed ? milliseconds(300) : heartbeat_interval));
    }
  }

  // Apart from the heartbeat, which must not wait for it.
  Async<void> look_for_downtime() {
    while (!failed_ && !gone_) {
      // Where the database is away the heartbeat says so.
      if (auto planned = co_await store::planned_downtime(*database_, in(seconds(2)))) {
        const bool soon = *planned && **planned - clock_.unix_ms() < 24 * 3'600'000;
        for (auto& shard : shards_)
          shard->post([shard = shard.get(), at = soon ? **planned : 0] { shard->context().away_from_ms = at; });
      }
      auto slept = co_await timer_.sleep_until(in(seconds(2)));
      if (!slept) break;
    }
  }

  /// The database's time, and by how much ours is certainly off: half the fastest round trip is nobody's fault.
  struct ComparedClock {
    std::int64_t database_ms = 0, off_ms = 0;
  };
  Task<ComparedClock> compare_clock() {
    ComparedClock best;
    auto fastest = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 3; ++i) {
      const auto sent = clock_.steady_now();
      const auto ours = clock_.unix_ms();
      auto theirs = co_await database_->read({"select (extract(epoch from clock_timestamp()) * 1000)::bigint", {}},
                                             in(seconds(3)));
      if (!theirs) co_return std::unexpected(theirs.error());
      const auto trip = clock_.steady_now() - sent;
      if (trip >= fastest) continue;
      fastest = trip;
      const auto half = std::chrono::duration_cast<milliseconds>(trip).count() / 2 + 1;
      best.database_ms = theirs->number(0, 0);
      const auto off = ours + half - best.database_ms;
      best.off_ms = std::abs(off) <= half ? 0 : off > 0 ? off - half : off + half;
    }
    co_return best;
  }

  // For the checks, on whichever node somebody asks for them.
  Async<void> tell_facts() {
    NodeFactsReader reader(site_, config_, metrics_.findings, tls_);
    const auto began_ms = clock_.unix_ms();
    while (!failed_ && !gone_) {
      auto compared = co_await compare_clock();
      if (compared) {
        rollout::NodeFacts facts;
        // A file system that hangs keeps this node silent, and silence is told as such.
        auto read = co_await offload(pool_, [&] { facts = reader.read(compared->database_ms); });
        facts.clock_off_ms = compared->off_ms;
        const auto asked_ms = std::max(began_ms, metrics_.status_asked_ms.load());
        facts.status_asked_ago_ms = std::max<std::int64_t>(clock_.unix_ms() - asked_ms, 0);
        if (read) {
          // Refused until an upgrade has made the table; a database that is away is told of by the heartbeat.
          auto told = co_await store::publish_facts(*database_, info_.name, info_.build, rollout::to_json(facts),
                                                    in(seconds(3)));
          if (!told) log(Level::debug, "facts_not_told", {{"message", told.error().message()}});
        }
      }
      auto slept = co_await timer_.sleep_until(in(milliseconds(rollout::publish_facts_every_ms)));
      if (!slept) break;
    }
  }

  // For the console's plots, while upgrade mode is on and for a minute after it.
  Async<void> tell_series() {
    rollout::SeriesRecorder recorder;
    auto until = clock_.steady_now();
    while (!failed_ && !gone_) {
      recorder.add(metrics_.of_clients(clock_.unix_ms()));
      if (state_seen_.mode == cluster::Mode::on) until = in(milliseconds(rollout::series_margin_ms));
      const auto& unwritten = recorder.unwritten();
      if (clock_.steady_now() < until && !unwritten.empty()) {
        const auto last_ms = unwritten.back().at_ms;
        auto told = co_await store::add_series(*database_, info_.name, info_.build, {unwritten.begin(), unwritten.end()},
                                               clock_.unix_ms(), in(milliseconds(rollout::series_every_ms)));
        // Tried again with the next one; a database that is away is told of by the heartbeat.
        if (told)
          recorder.written(last_ms);
        else
          log(Level::debug, "series_not_told", {{"message", told.error().message()}});
      }
      auto slept = co_await timer_.sleep_until(in(milliseconds(rollout::series_every_ms)));
      if (!slept) break;
    }
  }

  std::chrono::nanoseconds busy_time() const {
    std::chrono::nanoseconds sum{};
    for (const auto& shard : shards_) sum += shard->cpu_time();
    return sum;
  }

  Async<void> finalize() {
    while (!failed_ && !gone_) {
      auto wait = milliseconds(1000);
      if (state() == NodeState::ACTIVE && state_seen_.mode == cluster::Mode::on) {
        auto next = co_await finalizer_->step(state_seen_, in(std::chrono::minutes(10)));
        if (next)
          wait = *next;
        else {
          log(Level::warning, "finalize_step_failed", {{"message", next.error().message()}});
          wait = milliseconds(500);
        }
      }
      co_await wake_.wait_until(in(wait));
    }
  }

  // ---- drain and end

  Task<DrainView> begin_drain(std::string actor, Balancer told_by) {
    if (told_by == Balancer::caller) linger_ = milliseconds(0);
    if (state() == NodeState::DRAINING) co_return drain_view();
    if (state() != NodeState::ACTIVE)
      co_return fail(ErrorKind::failed_precondition, fmt::format("Only an ACTIVE node can drain; this one is {}.", cluster::to_string(state())));
    if (auto done = co_await change_state(NodeState::DRAINING, false); !done) co_return std::unexpected(done.error());
    drain_began_ = clock_.steady_now();
    for (auto& shard : shards_) shard->post([shard = shard.get()] { shard->server().set_closing(true); });
    log(Level::info, "draining", {{"by", actor}});
    co_return drain_view();
  }

  Task<DrainView> end_drain(std::string actor) {
    if (state() == NodeState::ACTIVE) co_return drain_view();
    if (state() != NodeState::DRAINING || stopping_)
      co_return fail(ErrorKind::failed_precondition, fmt::format("Only a DRAINING node can return; this one is {}.", cluster::to_string(state())));
    if (auto done = co_await change_state(NodeState::ACTIVE, false); !done) co_return std::unexpected(done.error());
    linger_ = milliseconds(site_.drain_linger_ms);
    for (auto& shard : shards_) shard->post([shard = shard.get()] { shard->server().set_closing(false); });
    log(Level::info, "returned", {{"by", actor}});
    co_return drain_view();
  }

  void on_stop_signal() {
    if (faults::loses_stop_signal()) return;
    stopping_ = true;
    wake_.notify_all();
  }

  Async<void> stop() {
    const auto limit = in(milliseconds(site_.drain_timeout_ms));
    if (state() == NodeState::ACTIVE) {
      auto begun = co_await begin_drain("SIGTERM", Balancer::health_checks);
      if (!begun) log(Level::warning, "drain_not_recorded", {{"message", begun.error().message()}});
      state_ = NodeState::DRAINING;
    }
    // A balancer that was not told must have seen /status answer 503 before the listener closes.
    const auto linger = drain_began_ + linger_;
    while (clock_.steady_now() < limit) {
      const auto view = drain_view();
      if (clock_.steady_now() >= linger && view.in_flight == 0 && view.streams == 0) break;
      auto slept = co_await timer_.sleep_until(in(milliseconds(5)));
      (void)slept;
    }
    for (const auto& shard : shards_)
      for (auto& name : shard->server().in_flight_names()) log(Level::warning, "overdue_at_drain_deadline", {{"request", name}});
    state_ = NodeState::TERMINATING;
    co_await leave();
  }

  // Closes the listener and this incarnation, and lets run() return.
  Async<void> leave() {
    gone_ = true;
    for (auto& shard : shards_) shard->post([shard = shard.get()] {
      shard->server().stop_accepting();
      shard->server().close_idle();
    });
    if (lease_valid_until_.load() != 0) {
      auto closed = co_await cluster_->set_state(info_.id, info_.incarnation, failed_ ? NodeState::ERROR : NodeState::OFFLINE, true, in(seconds(2)));
      if (closed) {
        is_member_no_more_ = options_.ephemeral;
        auto woken = co_await store::wake_cluster(*database_, in(milliseconds(500)));
        (void)woken;
      }
    }
    log(Level::info, "stopped", {{"exit_code", std::to_string(exit_code_)}});
    if (listener_) listener_->stop();
    wake_.notify_all();
    io_.stop();
  }

  // From any thread: this build may not write any more.
  void shut_out(std::string message) {
    asio::post(io_, [this, message = std::move(message)] { fail_node(message, exit_refused); });
  }

  void fail_node(std::string message, int code) {
    if (failed_) return;
    failed_ = true;
    state_ = NodeState::ERROR;
    exit_code_ = code;
    log(Level::error, "node_stops", {{"message", std::move(message)}});
    wake_.notify_all();
  }

  const SiteConfig& site_;
  const NodeConfig& config_;
  NodeOptions options_;
  NodeInfo info_;
  SystemClock clock_;
  asio::io_context io_{1};
  asio::thread_pool pool_{3};
  asio::thread_pool hashing_{1};
  std::shared_ptr<http::TlsIdentity> tls_;  ///< null: HTTP
  std::unique_ptr<BlobStore> blobs_;
  AsioTimer timer_;
  Event wake_;
  postgres::Options database_options_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Database> tasks_database_;  ///< without a limit to a statement's time
  std::unique_ptr<ClusterStore> cluster_;
  std::unique_ptr<Finalizer> finalizer_;
  std::unique_ptr<postgres::Listener> listener_;
  Metrics metrics_;
  std::shared_ptr<AuthShared> auth_shared_ = make_auth_shared();
  std::shared_ptr<std::atomic<int>> tasks_running_ = std::make_shared<std::atomic<int>>(0);
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<NodeState> state_{NodeState::STARTING};
  std::atomic<std::int64_t> lease_valid_until_{0};
  std::atomic<int> active_users_{0};
  LoadAverage load_;
  Gates gates_;
  cluster::ClusterState state_seen_;
  std::int64_t epoch_seen_ = 0;
  SteadyTime drain_began_{};
  milliseconds linger_{site_.drain_linger_ms};
  bool stopping_ = false, failed_ = false, gone_ = false;
  bool is_member_no_more_ = false;
  int exit_code_ = exit_clean;
};

// Before admission, so that a node that can't listen does not become a member. A process that ended a moment
// ago may still hold the port while the system takes it down.
Result<void> await_port(const NodeConfig& config) {
  for (int attempt = 1;; ++attempt) {
    auto free = http::check_port_free(config.address, config.port);
    if (free || attempt == 50) return free;
    std::this_thread::sleep_for(milliseconds(20));
  }
}

// The limit that shells and service managers set (1024) is for programs that use select(); a node has a handle per client.
void use_all_file_handles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 4096) return;
  log(Level::warning, "few_file_handles",
      {{"message", fmt::format("This node may open {} files; each connection is one. Raise the limit to 4096 or more (LimitNOFILE, /etc/security/limits.conf).", limit.rlim_cur)}});
}

}  // namespace

int run_node(const SiteConfig& site, const NodeConfig& config, NodeOptions options) {
  faults::process_started();
  set_log_node(config.name);
  set_log_level(site.log_level);
  if (auto folders = check_folders(site, config); !folders) {
    log(Level::error, "start_failed", {{"message", folders.error().message()}});
    return exit_error;
  }
  auto identity = NodeIdentity::open(config.data);
  if (!identity) {
    log(Level::error, "start_failed", {{"message", identity.error().message()}});
    return exit_error;
  }
  auto certificate = load_certificate(config);
  if (!certificate) {
    log(Level::error, "start_failed", {{"message", certificate.error().message()}});
    return exit_error;
  }
  if (auto free = await_port(config); !free) {
    log(Level::error, "start_failed", {{"message", free.error().message()}});
    return exit_error;
  }
  use_all_file_handles();
  Node node(site, config, std::move(options), identity->id(), std::move(*certificate));
  const int exit_code = node.run();
  if (node.is_member_no_more()) identity->forget();
  return exit_code;
}

}  // namespace afloat::server
