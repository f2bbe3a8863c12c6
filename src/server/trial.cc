#include "server/trial.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "adapters/files/blob_store.h"
#include "adapters/http/server.h"
#include "adapters/sqlite/database.h"
#include "base/hash.h"
#include "server/identity.h"
#include "server/log.h"
#include "server/node.h"
#include "server/setup.h"
#include "server/shard.h"
#include "server/start_checks.h"
#include "store/dialect.h"
#include "store/page_body.h"
#include "version/version.h"

namespace afloat::server {

namespace asio = boost::asio;
using cluster::NodeState;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

sqlite::Options database_of(const TrialOptions& options) {
  return {options.data + "/trial.db", store::sqlite_statements, store::trial_schema(), store::trial_changes()};
}

SiteConfig site_of(const TrialOptions& options) {
  SiteConfig site;
  site.site_name = "Afloat trial";
  site.base_url = fmt::format("http://127.0.0.1:{}", options.port);
  site.shared_home = options.data + "/home";
  site.edition = "single-node";
  return site;
}

NodeConfig node_of(const TrialOptions& options) {
  NodeConfig node;
  node.name = "trial";
  node.port = options.port;
  node.data = options.data;
  return node;
}

/// Nobody else hears of this node, so its state is its own.
class TrialNode final : public NodeControl {
 public:
  TrialNode(TrialOptions options, std::string id)
      : options_(std::move(options)),
        site_(site_of(options_)),
        config_(node_of(options_)),
        blobs_(files::make_blob_store(site_.shared_home, pool_)),
        timer_(io_.get_executor()),
        wake_(io_.get_executor()) {
    info_.id = std::move(id);
    info_.name = config_.name;
    info_.version = version::to_string(version::this_version());
    info_.build = version::this_build();
    info_.incarnation = random_uuid();
    info_.address = config_.address;
    info_.port = config_.port;
  }

  int run() {
    spawn(io_.get_executor(), "the trial", [this] { return live(); });
    io_.run();
    if (shard_) shard_->stop_and_join();
    pool_.join();
    hashing_.join();
    return exit_code_;
  }

  // NodeControl; called from the shard.
  NodeState state() const override { return state_.load(); }
  bool lease_valid() const override { return true; }
  Task<DrainView> drain(std::string, Balancer) override { co_return refused(); }
  Task<DrainView> undrain(std::string) override { co_return refused(); }
  DrainView drain_view() const override {
    DrainView view;
    view.state = state();
    view.in_flight = shard_->server().in_flight();
    view.streams = shard_->server().streams();
    view.tasks_running = tasks_running_->load();
    return view;
  }
  std::string not_ready_because() const override {
    return state() == NodeState::ACTIVE ? "" : fmt::format("The node is {}.", cluster::to_string(state()));
  }
  std::string metrics_text() const override {
    const auto& server = shard_->server();
    return metrics_.text(info_.name, info_.version, server.in_flight(), server.streams(), server.connections(),
                         tasks_running_->load(), shard_->context().auth.active_users());
  }

 private:
  static Result<DrainView> refused() {
    return fail(ErrorKind::failed_precondition, "A trial has no other node that could take over: stop it instead.");
  }
  Deadline in(milliseconds time) const { return clock_.steady_now() + time; }

  Async<void> live() {
    asio::signal_set signals(io_, SIGTERM, SIGINT);
    signals.async_wait([this](boost::system::error_code error, int) {
      if (error) return;
      stopping_ = true;
      wake_.notify_all();
    });
    auto started = co_await start();
    if (started) {
      while (!stopping_) {
        if (co_await wake_.wait_until(in(std::chrono::hours(1)))) continue;
        auto collected = co_await asio::co_spawn(shard_->io(), collect(), asio::use_awaitable);
        if (!collected) log(Level::warning, "bodies_not_collected", {{"message", collected.error().message()}});
      }
    } else {
      log(Level::error, "start_failed", {{"message", started.error().message()}});
      exit_code_ = exit_error;
    }
    signals.cancel();
    if (shard_) co_await stop();
    log(Level::info, "stopped", {{"exit_code", std::to_string(exit_code_)}});
    io_.stop();
  }

  Task<void> start() {
    auto key = site_key(site_.shared_home);
    if (!key) co_return std::unexpected(key.error());
    const auto database = [this](asio::io_context& io) { return sqlite::make_database(io, database_of(options_)); };
    auto shard = Shard::make({site_, config_, info_, options_.web, database, clock_, pool_, hashing_, *key, *blobs_,
                              metrics_, *this, auth_shared_, tasks_running_, false});
    if (!shard) co_return std::unexpected(shard.error());
    shard_ = std::move(*shard);
    if (auto listening = shard_->listen(config_.address, config_.port, nullptr); !listening) co_return listening;
    shard_->start();
    auto ready = co_await asio::co_spawn(shard_->io(), make_ready(), asio::use_awaitable);
    if (!ready) co_return std::unexpected(ready.error());
    state_ = NodeState::ACTIVE;
    log(Level::info, "active", {{"version", info_.version}});
    fmt::print("Afloat {} serves a trial at {}\nIts data is in {}.\n{}\n", info_.version, site_.base_url, options_.data,
               *ready);
    std::fflush(stdout);
    co_return Result<void>{};
  }

  // On the shard, as all that touches the database. The value says how to get in.
  Task<std::string> make_ready() {
    auto& database = shard_->context().database;
    std::vector<Statement> stamp;
    stamp.push_back(
        {"insert into cluster_state (only_row, cluster_version, gates) values (1, $1, 1)"
         " on conflict (only_row) do update set cluster_version = excluded.cluster_version",
         {info_.version}});
    if (auto done = co_await database.write({}, std::move(stamp), {}, in(seconds(10))); !done)
      co_return std::unexpected(done.error());
    if (auto warm = co_await shard_->warm_up(in(seconds(20))); !warm) co_return std::unexpected(warm.error());
    const auto gates = shard_->context().gates.current();
    if (auto failed = co_await fail_unfinished_tasks(database, gates, info_.name, in(seconds(10))); !failed)
      co_return std::unexpected(failed.error());
    auto made = co_await ensure_administrator(database, gates, options_.admin_password, in(seconds(20)));
    if (!made) co_return std::unexpected(made.error());
    if (*made) co_return "Sign in as admin with the password of AFLOAT_ADMIN_PASSWORD.";
    auto set_up = co_await is_set_up(shard_->context(), in(seconds(10)));
    if (!set_up) co_return std::unexpected(set_up.error());
    if (*set_up && options_.admin_password.empty()) co_return "Sign in as before.";
    if (*set_up)
      co_return "Sign in as before: AFLOAT_ADMIN_PASSWORD makes the first administrator only, and is not looked at now.";
    auto code = setup_code(site_.shared_home);
    if (!code) co_return std::unexpected(code.error());
    co_return fmt::format("Set it up, that is make the first account, at {}/setup?code={}", site_.base_url, *code);
  }

  Task<void> collect() {
    auto& context = shard_->context();
    co_return co_await store::collect_bodies(context.database, context.gates.current(), in(std::chrono::minutes(1)));
  }

  // What has begun ends; nothing new is taken.
  Async<void> stop() {
    if (state() == NodeState::ACTIVE) state_ = NodeState::DRAINING;
    shard_->post([this] {
      shard_->server().set_closing(true);
      shard_->server().stop_accepting();
    });
    const auto limit = in(milliseconds(site_.drain_timeout_ms));
    while (clock_.steady_now() < limit) {
      const auto view = drain_view();
      if (view.in_flight == 0 && view.streams == 0 && view.tasks_running == 0) break;
      auto slept = co_await timer_.sleep_until(in(milliseconds(5)));
      (void)slept;
    }
    state_ = NodeState::OFFLINE;
  }

  const TrialOptions options_;
  const SiteConfig site_;
  const NodeConfig config_;
  NodeInfo info_;
  SystemClock clock_;
  asio::io_context io_{1};
  asio::thread_pool pool_{3};
  asio::thread_pool hashing_{1};
  std::unique_ptr<BlobStore> blobs_;
  AsioTimer timer_;
  Event wake_;
  Metrics metrics_;
  std::shared_ptr<AuthShared> auth_shared_ = make_auth_shared();
  std::shared_ptr<std::atomic<int>> tasks_running_ = std::make_shared<std::atomic<int>>(0);
  std::unique_ptr<Shard> shard_;
  std::atomic<NodeState> state_{NodeState::STARTING};
  bool stopping_ = false;
  int exit_code_ = exit_clean;
};

/// The folder is a trial's own, or becomes it.
Result<void> make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder + "/home", error);
  if (!error) return {};
  return fail(ErrorKind::failed_precondition,
              fmt::format("The folder {} can't be made: {}. Choose another with --data.", folder, error.message()));
}

int refuse_start(const Error& error, int code) {
  log(Level::error, "start_failed", {{"message", error.message()}});
  return code;
}

}  // namespace

int run_trial(const TrialOptions& given) {
  auto options = given;
  options.data = std::filesystem::absolute(options.data).lexically_normal().string();
  set_log_node("trial");
  // Password hashes and pages are nobody else's.
  ::umask(077);
  if (auto made = make_folder(options.data); !made) return refuse_start(made.error(), exit_error);
  auto identity = NodeIdentity::open(options.data);
  if (!identity && identity.error().kind() == ErrorKind::failed_precondition)
    return refuse_start({ErrorKind::failed_precondition,
                         fmt::format("Another process already serves the trial in {}. A trial is one process: use that "
                                     "one, stop it first, or choose another folder with --data.",
                                     options.data)},
                        exit_error);
  if (!identity) return refuse_start(identity.error(), exit_error);
  if (auto folders = check_folders(site_of(options), node_of(options)); !folders)
    return refuse_start(folders.error(), exit_error);
  if (auto prepared = sqlite::prepare_file(database_of(options)); !prepared)
    return refuse_start(prepared.error(), prepared.error().code() == sqlite::newer_schema ? exit_refused : exit_error);
  if (auto free = http::check_port_free("127.0.0.1", options.port); !free)
    return refuse_start(free.error(), exit_error);
  TrialNode node(options, identity->id());
  return node.run();
}

}  // namespace afloat::server
