#include <signal.h>

#include "base/json_fields.h"
#include "faults/fault_site.h"

// The conductor is killed at every line of its journal: the next one finds the open step, looks at the world, and
// goes on. What has an effect outside of the journal must not be done twice.
namespace afloat::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class KillAt {
  /// The journal says that the step has begun; the act is ahead or under way. The gate is closed here too, so that
  /// no step is over before anybody has seen it.
  intent,
  outcome,  ///< the act is done and the journal does not say so yet
};
enum class Steps { each, each_kind_once };

/// One conductor after the other, each killed at the next point.
class Killer {
 public:
  Killer(FaultSite& site, KillAt at, Steps steps) : site_(site), gate_(site), at_(at), steps_(steps) {}

  /// Goes on until the run ends, or until `stop_at` says of the newest step that somebody wants to do something.
  void carry_on(const std::function<bool(const JournalStep&)>& stop_at = {}) {
    if (!site_.conductor().running()) site_.start_conductor();
    for (;;) {
      JournalStep step;
      std::string state;
      bool stop = false, kill = false;
      const bool there = eventually(seconds(40), [&] {
        state = site_.run_state();
        if (state == "done" || state == "cancelled" || state == "paused" || state == "failed") return true;
        // In this order: who stands at the gate holds the newest step.
        const bool held = at_ == KillAt::outcome && gate_.waits();
        step = site_.newest_step();
        kill = step.state == "running" && wanted(step) && (held || at_ == KillAt::intent);
        stop = !kill && stop_at && stop_at(step);
        return kill || stop;
      });
      ASSERT_TRUE(there) << "nothing happens at " << site_.newest_step().title() << ": " << site_.run_message() << "\n"
                         << site_.conductor().last_lines(15);
      ASSERT_TRUE(kill || (state != "paused" && state != "failed")) << site_.run_message();
      if (!kill) return;
      site_.kill_conductor();
      ++kills_;
      gate_.end_the_one_that_waits();
      gate_.let_through(step, steps_ == Steps::each ? JournalGate::Through::step : JournalGate::Through::kind);
      EXPECT_EQ(site_.newest_step().seq, step.seq) << "the journal was written though its writer was held";
      EXPECT_EQ(site_.newest_step().state, "running");
      seen_.insert(step.seq);
      points_.insert(kind_of(step));
      site_.end_conductors_lease();
      if (stop_at && stop_at(step)) return;
      site_.start_conductor();
    }
  }
  int kills() const { return kills_; }
  const std::set<std::string>& points() const { return points_; }

 private:
  static std::string kind_of(const JournalStep& step) { return (step.back ? "back: " : "") + step.kind; }
  bool wanted(const JournalStep& step) const {
    return !seen_.contains(step.seq) && (steps_ == Steps::each || !points_.contains(kind_of(step)));
  }

  FaultSite& site_;
  JournalGate gate_;
  KillAt at_;
  Steps steps_;
  std::set<std::int64_t> seen_;
  std::set<std::string> points_;
  int kills_ = 0;
};

/// Each node was stopped, switched and started so many times more.
void expect_deeds(const std::map<std::string, Deeds>& before, std::map<std::string, Deeds> after, int times,
                  const std::vector<std::string>& nodes) {
  for (const auto& [node, was] : before) {
    const int more = std::ranges::find(nodes, node) == nodes.end() ? 0 : times;
    EXPECT_EQ(after[node].started - was.started, more) << node;
    EXPECT_EQ(after[node].stopped - was.stopped, more) << node;
    EXPECT_EQ(after[node].switched - was.switched, more) << node;
  }
}

/// An upgrade that is cancelled at its second node, and one that is finalized; a conductor dies at every step.
void live_with_kills(KillAt at, Steps steps, const std::string& row) {
  FaultSite site;
  ASSERT_NO_FATAL_FAILURE(site.users_come());
  auto before = site.deeds();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  Killer killer(site, at, steps);
  ASSERT_NO_FATAL_FAILURE(killer.carry_on(
      [&](const JournalStep& step) { return step.kind == "await_active" && site.begun().size() == 2; }));
  site.ask("cancel");
  ASSERT_NO_FATAL_FAILURE(killer.carry_on());
  EXPECT_EQ(site.run_state(), "cancelled") << site.run_message();
  expect_settled(site.fixture(), bundles().from);
  const auto touched = site.begun();
  EXPECT_EQ(touched.size(), 2U);
  expect_deeds(before, site.deeds(), 2, touched);

  before = site.deeds();
  ASSERT_NO_FATAL_FAILURE(site.begin_run());
  ASSERT_NO_FATAL_FAILURE(killer.carry_on());
  EXPECT_EQ(site.run_state(), "done") << site.run_message();
  expect_settled(site.fixture(), bundles().to);
  expect_deeds(before, site.deeds(), 1, {"node1", "node2", "node3"});
  EXPECT_EQ(site.sql("select count(*) from upgrade_task where attempts > 1"), "0") << "a task was run twice";
  for (const char* kind : {"preflight",
                           "distribute",
                           "mode_on",
                           "expand",
                           "ok_to_stop",
                           "drain",
                           "ok_to_stop_again",
                           "maint",
                           "stop",
                           "switch",
                           "start",
                           "await_active",
                           "balance",
                           "finalize",
                           "await_stable",
                           "verify",
                           "report",
                           "back: drain",
                           "back: stop",
                           "back: switch",
                           "back: start",
                           "back: await_active",
                           "back: mode_off",
                           "back: verify"})
    EXPECT_TRUE(killer.points().contains(kind)) << "no conductor was killed at " << kind;

  const auto figures = site.figures();
  EXPECT_EQ(figures.failed, 0U) << figures.text;
  FaultSite::print_row(row + " (" + std::to_string(killer.kills()) + " kills)", figures,
                       "cancelled, then done; each stop, switch and start once");
}

TEST(Faults, TheConductorIsKilledBetweenActAndJournal) {
  live_with_kills(KillAt::outcome, Steps::each_kind_once, "conductor killed between act and journal");
}

TEST(Long, TheConductorIsKilledAtTheIntentOfEveryStepOfEveryNode) {
  live_with_kills(KillAt::intent, Steps::each, "conductor killed at each intent of each node");
}

TEST(Long, TheConductorIsKilledBetweenActAndJournalOfEveryStepOfEveryNode) {
  live_with_kills(KillAt::outcome, Steps::each, "conductor killed between act and journal of each node");
}

}  // namespace
}  // namespace afloat::test
