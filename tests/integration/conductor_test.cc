#include "conductor/conductor.h"

#include <gtest/gtest.h>

#include "cli/run_task.h"
#include "rollout/run_json.h"
#include "rollout/test_world.h"
#include "store/notes_store.h"
#include "store/run_store.h"
#include "store/schema.h"
#include "support/protocol.h"

/// The conductor with its real journal and lease, on a site in memory.
namespace afloat::conductor {
namespace {

using namespace std::chrono_literals;
using rollout::Act;
using rollout::StepKind;
using rollout::World;

/// Hosts, balancer, nodes and cluster state: every port but the journal.
class SiteInMemory final : public ClusterStore,
                           public NodeHost,
                           public LoadBalancer,
                           public SiteClient,
                           public Notifier {
 public:
  explicit SiteInMemory(World& world) : world_(world) {}
  int acts = 0;
  bool agent_answers = true;
  std::int64_t highest_epoch = 0;
  std::string epoch_holder;

  // ClusterStore
  Task<cluster::Snapshot> observe(Deadline) override {
    rollout::Needs needs;
    needs.cluster = true;
    auto snapshot = *world_.observe(needs).cluster;
    snapshot.now_ms = SystemClock().unix_ms();
    co_return snapshot;
  }
  Task<cluster::AdmissionDecision> admit(cluster::Candidate, Deadline) override {
    co_return fail(ErrorKind::internal, "no");
  }
  Task<Lease> renew(Heartbeat, Deadline) override { co_return fail(ErrorKind::internal, "no"); }
  Task<void> set_state(std::string, std::string, cluster::NodeState, bool, Deadline) override {
    co_return Result<void>{};
  }
  Task<void> remove(std::string, std::string, Deadline) override { co_return Result<void>{}; }
  Task<void> apply(cluster::Command command, std::string, std::optional<int> target_build, std::optional<std::int64_t>,
                   Deadline) override {
    if (command == cluster::Command::start && target_build) {
      // Where the hop leads that begins now.
      world_.run.to_build = *target_build;
      world_.run.to = version::describe_build(*target_build);
    }
    act(command == cluster::Command::start    ? StepKind::mode_on
        : command == cluster::Command::cancel ? StepKind::mode_off
                                              : StepKind::finalize);
    co_return Result<void>{};
  }

  // NodeHost
  std::vector<std::string> hosts() const override { return {"host1"}; }
  Task<HostReport> announce(std::string host, LeaderLease lead, Deadline deadline) override {
    if (lead.epoch < highest_epoch || (lead.epoch == highest_epoch && lead.holder != epoch_holder))
      co_return fail(ErrorKind::conflict, "a newer conductor leads", "stale_epoch");
    highest_epoch = lead.epoch;
    epoch_holder = lead.holder;
    co_return co_await report(host, deadline);
  }
  Task<HostReport> report(std::string host, Deadline) override {
    if (!agent_answers) co_return fail(ErrorKind::unavailable, "connection refused");
    HostReport report;
    report.host = host;
    report.highest_epoch = highest_epoch;
    report.releases = world_.releases;
    for (const auto& n : world_.nodes) {
      HostNode node;
      node.name = n.name;
      node.version = n.link;
      node.running = n.running;
      node.wanted = n.wanted;
      node.incarnation = "1-1";
      node.last_exit_code = n.exit_code;
      report.nodes.push_back(node);
    }
    co_return report;
  }
  Task<void> distribute(std::string, std::string version, Order order, Deadline) override {
    return ordered(order, StepKind::distribute, "", version);
  }
  Task<void> expand(std::string, std::string node, std::string version, Order order, Deadline) override {
    return ordered(order, StepKind::expand, node, version);
  }
  Task<void> stop(std::string, std::string node, Order order, Deadline) override {
    return ordered(order, StepKind::stop, node, "");
  }
  Task<void> switch_to(std::string, std::string node, std::string version, Order order, Deadline) override {
    return ordered(order, StepKind::switch_release, node, version);
  }
  Task<void> start(std::string, std::string node, Order order, Membership, Deadline) override {
    return ordered(order, StepKind::start, node, "");
  }

  // LoadBalancer
  Task<void> set(std::string node, Traffic traffic, Deadline) override {
    ++acts;
    world_.node(node).traffic = traffic == Traffic::ready ? "UP" : traffic == Traffic::drain ? "DRAIN" : "MAINT";
    co_return Result<void>{};
  }
  Task<void> add(std::string node, std::string, int, Deadline) override {
    ++acts;
    world_.node(node).at_balancer = true;
    world_.node(node).traffic = "MAINT";
    co_return Result<void>{};
  }
  Task<void> remove(std::string node, Deadline) override {
    ++acts;
    world_.node(node).at_balancer = false;
    co_return Result<void>{};
  }
  Task<BackendView> view(std::string node, Deadline) override {
    co_return BackendView{world_.node(node).traffic, 0, 100, 100};
  }

  // SiteClient
  Task<DrainStatus> drain(std::string node, Deadline deadline) override {
    world_.node(node).state = cluster::NodeState::DRAINING;
    co_return co_await drain_status(node, deadline);
  }
  Task<DrainStatus> drain_status(std::string node, Deadline) override {
    DrainStatus status;
    status.state = std::string(cluster::to_string(world_.node(node).state));
    status.drained = world_.node(node).state == cluster::NodeState::DRAINING;
    co_return status;
  }
  Task<void> undrain(std::string node, Deadline) override {
    world_.node(node).state = cluster::NodeState::ACTIVE;
    co_return Result<void>{};
  }
  Task<bool> ready(std::string node, Deadline) override { co_return world_.node(node).running; }
  Task<rollout::NodeSample> metrics(std::string node, Deadline) override {
    auto& sample = samples_[node];
    sample.requests += 100;
    if (node == failing) sample.errors += 5;
    co_return sample;
  }
  Task<rollout::KnownAnswers> compare(std::string, std::string, Deadline) override {
    co_return rollout::KnownAnswers{.asked = 1, .wrong = 0, .example = {}};
  }
  Task<rollout::TrialReads> try_out(std::string, std::string, Deadline) override {
    rollout::TrialReads reads;
    reads.ms.assign(100, 2);
    reads.other_ms.assign(100, 2);
    co_return reads;
  }

  // Notifier
  Task<void> notify(Notice notice, Deadline) override {
    told.push_back(std::string(rollout::to_string(notice.kind)));
    co_return Result<void>{};
  }
  std::string failing;  ///< answers one request in twenty with an error
  std::vector<std::string> told;

 private:
  std::map<std::string, rollout::NodeSample> samples_;

  void act(StepKind kind, std::string node = {}, std::string version = {}) {
    ++acts;
    Act act{.kind = kind, .node = std::move(node), .release = {version, 0}};
    if (kind == StepKind::distribute) act.releases = {version};
    world_.perform(act);
  }
  Task<void> ordered(Order order, StepKind kind, std::string node, std::string version) {
    if (order.lead.epoch < highest_epoch) co_return fail(ErrorKind::conflict, "a newer conductor leads", "stale_epoch");
    act(kind, std::move(node), std::move(version));
    co_return Result<void>{};
  }
  World& world_;
};

/// One conductor's process: its loop and everything on it. Not run any more, it is a frozen one; with its
/// database sessions ended as well, a killed one. Its end waits for its coroutines.
struct Process : test::Loop {
  std::unique_ptr<RunStore> runs;
  std::unique_ptr<NotesStore> notes;
  std::unique_ptr<Conductor> conductor;
  int coroutines = 2;
  std::vector<std::string> log;
  std::vector<std::string> way;  ///< what policy and catalogue say
  std::optional<std::vector<version::ReleaseNotes>> notes_on_the_way;

  Process(const std::string& connection, SiteInMemory& site, const std::string& holder,
          int build = version::this_build())
      : Loop(connection, holder) {
    runs = store::make_run_store(*database);
    notes = store::make_notes_store(*database);
    Settings settings;
    settings.notes = notes.get();
    settings.holder = holder;
    settings.edition = "data-center";
    settings.build = build;
    settings.catalogue = [this](const std::string&, const std::string&) {
      return CatalogueEntry{.present = true, .notes = notes_on_the_way};
    };
    settings.way = [this](const std::string&, const std::string&) { return way; };
    settings.log = [this](std::string_view level, const std::string& message) {
      log.push_back(std::string(level) + " " + message);
    };
    conductor = std::make_unique<Conductor>(settings, clock, timer, *runs, site, site, site, site, site);
    boost::asio::co_spawn(context, conductor->lead(), [this](std::exception_ptr) { --coroutines; });
    boost::asio::co_spawn(context, conductor->renew(), [this](std::exception_ptr) { --coroutines; });
  }
  ~Process() {
    conductor->stop();
    EXPECT_TRUE(run_until(15s, [&] { return coroutines == 0; })) << "stop() must end both";
  }
};

class ConductorTest : public testing::Test {
 protected:
  test::Database database{"runs", [](const std::string& connection) {
                            (void)must<bool>(connection,
                                             [](Database& database, RunStore&) { return bootstrap(&database); });
                          }};
  World world;
  SiteInMemory site{world};

  static Task<bool> bootstrap(Database* database) {
    const auto soon = std::chrono::steady_clock::now() + 10s;
    auto done = co_await database->transaction(std::nullopt, [](Transaction& t) { return create_tables(&t); }, soon);
    if (!done) co_return std::unexpected(done.error());
    co_return true;
  }
  static Task<void> create_tables(Transaction* t) {
    // As much of cluster_state and cluster_event as these stores need.
    auto made = co_await t->run({"create table cluster_state (cluster_version text not null)", {}});
    if (made) made = co_await t->run({"insert into cluster_state (cluster_version) values ('1.0.0')", {}});
    if (made)
      made = co_await t->run(
          {"create table cluster_event (seq bigint generated always as identity, at timestamptz not null "
           "default now(), actor text not null, kind text not null, detail jsonb not null)",
           {}});
    for (const auto statement : store::run_schema())
      if (made) made = co_await t->run({statement, {}});
    if (!made) co_return std::unexpected(made.error());
    co_return Result<void>{};
  }

  /// Runs one call on a context of its own.
  template <class T>
  static Result<T> call(const std::string& connection, std::function<Task<T>(Database&, RunStore&)> work) {
    test::Loop loop(connection, "asker");
    const auto runs = store::make_run_store(*loop.database);
    return loop.run(work(*loop.database, *runs));
  }
  template <class T>
  static T must(const std::string& connection, std::function<Task<T>(Database&, RunStore&)> work) {
    auto result = call<T>(connection, std::move(work));
    if (!result) throw std::runtime_error(result.error().message());
    return *result;
  }
  static Deadline soon() { return std::chrono::steady_clock::now() + 5s; }

  rollout::Options options{.hold_before_finalize = false, .soak_ms = 0};

  Result<std::int64_t> ask(const std::string& to = "1.1.0", int build = 0) {
    auto id = call<std::int64_t>(database.connection(), [to, build, this](Database&, RunStore& runs) {
      NewRun run;
      run.options = options;
      run.to = to;
      run.build = build;
      run.actor = "admin";
      run.reason = "test";
      return runs.create(run, soon());
    });
    if (id) world.run.id = *id;
    return id;
  }
  rollout::Run load() {
    return must<rollout::Run>(database.connection(),
                              [this](Database&, RunStore& runs) { return runs.load(world.run.id, soon()); });
  }
  Leadership leadership() const {
    return must<Leadership>(database.connection(), [](Database&, RunStore& runs) { return runs.leadership(soon()); });
  }
  static Task<void> acknowledge(Database* database, version::ReadNotes read) {
    const auto notes = store::make_notes_store(*database);
    co_return co_await notes->acknowledge("admin", {read}, soon());
  }
  static Task<bool> resume(RunStore* runs, std::int64_t id) {
    auto done = co_await runs->request_resume(id, "admin", soon());
    if (!done) co_return std::unexpected(done.error());
    co_return true;
  }
  std::string state() const { return database.query("select state from upgrade_run order by id desc limit 1"); }
  void end_lease() const {
    (void)database.query("update conductor_lease set lease_until = clock_timestamp() returning 1");
  }
};

TEST_F(ConductorTest, CarriesARunToItsEndAndWastesLittleTime) {
  Process process(database.connection(), site, "one");
  ASSERT_TRUE(process.run_until(3s, [&] { return site.highest_epoch == 1; }));
  ASSERT_TRUE(ask());
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(process.run_until(20s, [&] { return state() == "done"; })) << load().message;
  const auto took = std::chrono::steady_clock::now() - begun;
  RecordProperty("ms", static_cast<int>(took / 1ms));
  EXPECT_LT(took, 5s);
  const auto run = load();
  EXPECT_EQ(run.outcome, "done");
  EXPECT_GT(run.ended_at_ms, 0);
  EXPECT_GT(run.stable_at_ms, run.mode_on_at_ms);
  EXPECT_EQ(run.steps.size(), 4U + 3 * 9 + 4);
  for (const auto& step : run.steps) EXPECT_EQ(step.state, rollout::StepState::done) << to_string(step.kind);
  world.expect_whole_on("1.1.0");
}

TEST_F(ConductorTest, ARunWhoseNotesNobodyHasReadEndsBeforeAnythingIsChanged) {
  Process process(database.connection(), site, "one");
  process.notes_on_the_way = {{"1.1.0", "News of 1.1.0.", "digest"}};
  options.notes_recorded = true;
  ASSERT_TRUE(ask());
  ASSERT_TRUE(process.run_until(10s, [&] { return state() == "failed"; })) << load().message;
  EXPECT_EQ(load().outcome, "preflight_failed");
  EXPECT_NE(load().message.find("not acknowledged: 1.1.0"), std::string::npos) << load().message;
  EXPECT_EQ(site.acts, 0);

  ASSERT_TRUE(call<void>(database.connection(), [](Database& database, RunStore&) {
    return acknowledge(&database, {"1.1.0", "digest", "", 0});
  }));
  ASSERT_TRUE(ask());
  ASSERT_TRUE(process.run_until(20s, [&] { return state() == "done"; })) << load().message;
  EXPECT_NE(load().checks.find("1.1.0, by admin"), std::string::npos) << load().checks;
}

TEST_F(ConductorTest, ARunThatAnOlderNodeTookIsOnlyWarnedOfNotesThatNobodyHasRead) {
  Process process(database.connection(), site, "one");
  process.notes_on_the_way = {{"1.1.0", "News of 1.1.0.", "digest"}};
  ASSERT_TRUE(ask());
  ASSERT_TRUE(process.run_until(20s, [&] { return state() == "done"; })) << load().message;
  EXPECT_NE(load().checks.find("the node that took the run could not record it"), std::string::npos) << load().checks;
}

TEST_F(ConductorTest, OneThatWaitsHardlyWrites) {
  Process process(database.connection(), site, "one");
  ASSERT_TRUE(process.run_until(3s, [&] { return site.highest_epoch == 1; }));
  const auto transactions = [&] { return std::stoll(database.query("select pg_current_xact_id()")); };
  const auto before = transactions();
  process.run_until(2s, [] { return false; });
  EXPECT_LE(transactions() - before, 5) << "its lease needs renewing once a second";
}

TEST_F(ConductorTest, OneThatIsKilledIsFollowedByAnother) {
  ASSERT_TRUE(ask());
  std::vector<std::unique_ptr<Process>> processes;
  int killed = 0;
  for (int turn = 0; turn < 60 && state() != "done"; ++turn) {
    // Each lives for three acts, then is gone without a word.
    const auto holder = "conductor" + std::to_string(turn);
    processes.push_back(std::make_unique<Process>(database.connection(), site, holder));
    const int until = site.acts + 3;
    processes.back()->run_until(5s, [&] { return site.acts >= until || state() == "done"; });
    ++killed;
    (void)database.query(
        "select count(pg_terminate_backend(pid, 1000)) from pg_stat_activity where application_name = '" + holder +
        "'");
    end_lease();
  }
  EXPECT_EQ(state(), "done") << load().message;
  EXPECT_GT(killed, 5);
  EXPECT_FALSE(world.taken_out_twice);
  world.expect_whole_on("1.1.0");
}

TEST_F(ConductorTest, OneThatWasFrozenWritesNothingMore) {
  Process frozen(database.connection(), site, "frozen");
  ASSERT_TRUE(frozen.run_until(3s, [&] { return site.highest_epoch == 1; }));
  ASSERT_TRUE(ask());
  ASSERT_TRUE(frozen.run_until(5s, [&] { return site.acts >= 4; }));
  end_lease();
  Process next(database.connection(), site, "next");
  ASSERT_TRUE(next.run_until(3s, [&] { return site.highest_epoch == 2; }));
  const auto acts = site.acts;
  const auto seq = database.query("select max(changed) from upgrade_step");
  frozen.run_until(300ms, [] { return false; });
  // One act whose intent was in the journal already may be under way: the lease was ended by hand here, within the
  // time that its holder may trust it. Agents refuse its orders; the journal takes nothing from it.
  EXPECT_LE(site.acts, acts + 1);
  EXPECT_EQ(database.query("select max(changed) from upgrade_step"), seq);
  ASSERT_TRUE(next.run_until(20s, [&] { return state() == "done"; })) << load().message;
}

TEST_F(ConductorTest, CancelLeadsBack) {
  ASSERT_TRUE(ask());
  Process process(database.connection(), site, "one");
  ASSERT_TRUE(process.run_until(10s, [&] { return site.acts >= 12; }));
  const auto id = world.run.id;
  auto asked = call<bool>(database.connection(), [id](Database&, RunStore& runs) -> Task<bool> {
    return [](RunStore* store, std::int64_t run) -> Task<bool> {
      auto done = co_await store->request_cancel(run, "admin", soon());
      if (!done) co_return std::unexpected(done.error());
      co_return true;
    }(&runs, id);
  });
  ASSERT_TRUE(asked) << asked.error().message();
  ASSERT_TRUE(process.run_until(20s, [&] { return state() == "cancelled"; })) << load().message;
  world.expect_whole_on("1.0.0");
  EXPECT_TRUE(ask()) << "the next run may begin";
}

TEST_F(ConductorTest, AnAgentThatDoesNotAnswerPausesTheRun) {
  ASSERT_TRUE(ask());
  site.agent_answers = false;
  Process process(database.connection(), site, "one");
  ASSERT_TRUE(process.run_until(12s, [&] { return state() == "paused"; }));
  EXPECT_EQ(site.acts, 0);
  EXPECT_NE(load().message.find("agent host1"), std::string::npos) << load().message;
}

TEST_F(ConductorTest, WhereAgentsKnowAHigherEpochThanTheDatabaseTheRunWaitsForAPerson) {
  site.highest_epoch = 7;
  site.epoch_holder = "one that the database has forgotten";
  ASSERT_TRUE(ask());
  Process process(database.connection(), site, "c1");
  ASSERT_TRUE(process.run_until(3s, [&] { return site.highest_epoch == 8; }));
  (void)process.run_until(300ms, [] { return false; });
  auto run = load();
  EXPECT_EQ(run.state, rollout::RunState::paused);
  EXPECT_NE(run.message.find("The database went back in time: agents have obeyed conductor epoch 7, and it knows 0"),
            std::string::npos)
      << run.message;
  EXPECT_EQ(site.acts, 0);
  must<bool>(database.connection(), [this](Database&, RunStore& runs) { return resume(&runs, world.run.id); });
  EXPECT_TRUE(process.run_until(20s, [&] { return state() == "done"; })) << load().message;
}

TEST_F(ConductorTest, WhereTheClustersStateGoesBackUnderARunItWaitsForAPerson) {
  world.state.epoch = 9;
  ASSERT_TRUE(ask());
  Process process(database.connection(), site, "c1");
  ASSERT_TRUE(process.run_until(10s, [&] { return site.acts >= 2; }));
  world.state.epoch = 4;
  ASSERT_TRUE(process.run_until(5s, [&] { return state() == "paused"; })) << load().message;
  const auto acts = site.acts;
  (void)process.run_until(300ms, [] { return false; });
  EXPECT_EQ(site.acts, acts);
  EXPECT_NE(load().message.find("The database went back in time"), std::string::npos) << load().message;
  must<bool>(database.connection(), [this](Database&, RunStore& runs) { return resume(&runs, world.run.id); });
  EXPECT_TRUE(process.run_until(20s, [&] { return state() == "done"; })) << load().message;
}

TEST_F(ConductorTest, OneThatIsOlderThanTheJournalLeavesTheLeadAndSaysWhy) {
  const int older = version::this_build() - 10;
  Process old(database.connection(), site, "old", older);
  ASSERT_TRUE(old.run_until(3s, [&] { return site.highest_epoch == 1; })) << "without a run it may lead";
  ASSERT_TRUE(ask("1.1.0", version::this_build()));
  const auto unseen = database.query("select changed from upgrade_run");
  ASSERT_TRUE(old.run_until(5s, [&] { return old.log.back().contains("start the conductor of"); })) << old.log.back();
  const auto told = leadership();
  EXPECT_EQ(told.holder, "");
  for (const auto& word : {std::string("conductor old"), version::describe_build(older),
                           version::describe_build(version::this_build()), std::string("start the conductor of")})
    EXPECT_NE(told.declined.find(word), std::string::npos) << word << " is not in: " << told.declined;
  EXPECT_NE(database.query("select changed from upgrade_run"), unseen) << "whoever follows the run hears of it";
  const auto heard = database.query("select changed from upgrade_run");
  const auto lines = old.log.size();
  old.run_until(1s, [] { return false; });
  EXPECT_EQ(database.query("select changed from upgrade_run"), heard) << "but once";
  EXPECT_EQ(old.log.size(), lines) << old.log.back();
  EXPECT_EQ(site.acts, 0);

  Process next(database.connection(), site, "new");
  ASSERT_TRUE(next.run_until(20s, [&] { return state() == "done"; })) << load().message;
  EXPECT_EQ(leadership().declined, "") << "the run has ended";
  EXPECT_EQ(leadership().silent_since_ms, 0) << "one leads";
  end_lease();
  const auto since = leadership().silent_since_ms;
  EXPECT_GT(since, SystemClock().unix_ms() - 60'000);
  EXPECT_LE(since, SystemClock().unix_ms());
  world.expect_whole_on("1.1.0");
}

TEST_F(ConductorTest, OnASiteThatWasNeverStartedItWaitsQuietly) {
  test::Database empty;
  Process process(empty.connection(), site, "one");
  process.run_until(1s, [] { return false; });
  ASSERT_EQ(process.log.size(), 1U) << process.log.back();
  EXPECT_TRUE(process.log[0].starts_with("info waiting for the first node")) << process.log[0];
  (void)must<bool>(empty.connection(), [](Database& made, RunStore&) { return bootstrap(&made); });
  EXPECT_TRUE(process.run_until(3s, [&] { return site.highest_epoch == 1; })) << process.log.back();
}

TEST_F(ConductorTest, ThereIsOneActiveRunAndChangesAreCounted) {
  ASSERT_TRUE(ask());
  const auto second = ask();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::conflict);
  EXPECT_NE(second.error().message().find("1.0.0 to 1.1.0"), std::string::npos) << second.error().message();
  Process process(database.connection(), site, "one");
  ASSERT_TRUE(process.run_until(20s, [&] { return state() == "done"; }));
  const auto id = world.run.id;
  auto changes = call<std::vector<std::pair<std::int64_t, rollout::StepRecord>>>(
      database.connection(), [id](Database&, RunStore& runs) { return runs.changes(id, 0, soon()); });
  ASSERT_TRUE(changes) << changes.error().message();
  EXPECT_EQ(changes->size(), load().steps.size());
}

TEST_F(ConductorTest, ARunThatLeadsNowhereHigherIsRefusedWhenItIsAskedFor) {
  for (const auto* to : {"1.0.0", "0.9.3"}) {
    const auto refused = ask(to);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_argument);
    EXPECT_TRUE(refused.error().message().contains("The site is on 1.0.0")) << refused.error().message();
  }
  EXPECT_EQ(database.query("select count(*) from upgrade_run"), "0");
}

TEST_F(ConductorTest, PauseAndTheWishForOneNodeReachItThroughTheJournalOnceEach) {
  options.hold_before_finalize = true;
  Process process(database.connection(), site, "one");
  ASSERT_TRUE(ask());
  const auto signal = [&](std::function<Task<void>(RunStore&)> send) {
    return call<void>(database.connection(), [&](Database&, RunStore& runs) { return send(runs); });
  };
  ASSERT_TRUE(process.run_until(10s, [&] { return load().steps.size() > 6; }));
  ASSERT_TRUE(signal([&](RunStore& runs) { return runs.request_pause(world.run.id, "admin", soon()); }));
  ASSERT_TRUE(process.run_until(5s, [&] { return state() == "paused"; }));
  EXPECT_NE(load().message.find("paused by admin"), std::string::npos) << load().message;
  EXPECT_EQ(load().requests.pause_by, "") << "taken up";
  const auto again = signal([&](RunStore& runs) { return runs.request_pause(world.run.id, "admin", soon()); });
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message().find("paused already"), std::string::npos) << again.error().message();

  ASSERT_TRUE(signal([&](RunStore& runs) { return runs.request_resume(world.run.id, "admin", soon()); }));
  const auto held = [&] {
    const auto run = load();
    return run.state == rollout::RunState::paused && run.open_step() &&
           run.open_step()->kind == StepKind::hold_before_finalize;
  };
  ASSERT_TRUE(process.run_until(20s, held)) << load().message;
  ASSERT_TRUE(signal([&](RunStore& runs) { return runs.request_rollback(world.run.id, "node2", "eve", soon()); }));
  ASSERT_TRUE(process.run_until(10s, [&] { return world.node("node2").link == "1.0.0" && state() == "paused"; }));
  EXPECT_NE(load().message.find("node2 is back on 1.0.0"), std::string::npos) << load().message;
  EXPECT_EQ(load().requests.rollback_node, "");
  ASSERT_TRUE(signal([&](RunStore& runs) { return runs.request_resume(world.run.id, "admin", soon()); }));
  ASSERT_TRUE(process.run_until(20s, [&] { return held() && world.node("node2").link == "1.1.0"; })) << load().message;
  ASSERT_TRUE(signal([&](RunStore& runs) { return runs.request_resume(world.run.id, "admin", soon()); }));
  ASSERT_TRUE(process.run_until(10s, [&] { return state() == "done"; })) << load().message;
  const auto late =
      signal([&](RunStore& runs) { return runs.request_rollback(world.run.id, "node2", "admin", soon()); });
  EXPECT_FALSE(late);
  EXPECT_EQ(
      database.query("select string_agg(kind || ' by ' || actor || coalesce(' of ' || (detail ->> 'node'), ''), ', ' "
                     "order by seq) from cluster_event where kind like 'run_%'"),
      "run_create by admin, run_pause by admin, run_resume by admin, run_rollback by eve of node2, run_resume by admin,"
      " run_resume by admin")
      << "what was refused is not among them";
  EXPECT_EQ(site.told, (std::vector<std::string>{"started", "paused", "held", "paused", "held", "finalized"}));
  const auto durations =
      must<rollout::Durations>(database.connection(), [](Database&, RunStore& runs) { return runs.durations(soon()); });
  EXPECT_TRUE(durations.contains(StepKind::drain));
}

TEST_F(ConductorTest, AChainIsRecordedHopByHopAndANodeThatFailsRequestsGoesBack) {
  options.finalize_intermediate = true;
  options.soak_ms = 500;
  Process process(database.connection(), site, "one", version::build_number(*version::parse_version("1.2.0")));
  process.way = {"1.1.0", "1.2.0"};
  site.failing = "node3";
  ASSERT_TRUE(ask("1.2.0"));
  ASSERT_TRUE(process.run_until(60s, [&] { return state() == "paused"; })) << load().message;
  auto run = load();
  EXPECT_NE(run.message.find("node3 is back on 1.0.0"), std::string::npos) << run.message;
  EXPECT_EQ(world.node("node3").link, "1.0.0");
  EXPECT_EQ(world.node("node1").link, "1.1.0") << "the others were good";
  EXPECT_EQ(
      database.query("select string_agg(from_version || '>' || to_version, ' ' order by ordinal) from upgrade_hop"),
      "1.0.0>1.1.0 1.1.0>1.2.0");
  site.failing.clear();
  ASSERT_TRUE(call<void>(database.connection(), [&](Database&, RunStore& runs) {
    return runs.request_resume(world.run.id, "admin", soon());
  }));
  ASSERT_TRUE(process.run_until(60s, [&] { return state() == "done"; })) << load().message;
  run = load();
  EXPECT_EQ(run.steps.back().hop, 1);
  for (const auto& node : world.nodes) EXPECT_EQ(node.link, "1.2.0");
}

}  // namespace
}  // namespace afloat::conductor
