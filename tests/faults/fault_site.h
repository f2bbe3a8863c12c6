#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rollout/options.h"
#include "upgrade/site_helpers.h"

struct pg_conn;

/// What the tests of faults share: a site under load, its conductor in the test's own hands, the journal as the
/// database has it, and the figures that docs/faults.md shows.
namespace afloat::test {

/// One entry of a run's journal.
struct JournalStep {
  std::int64_t seq = 0;
  std::string kind, node, state;
  bool back = false;
  /// "drain node2", with "back: " in front on the way back.
  std::string title() const;
};

/// What was done to one node.
struct Deeds {
  int started = 0, stopped = 0, switched = 0;
  bool operator==(const Deeds&) const = default;
};

/// What users saw of a fault.
struct Figures {
  std::size_t requests = 0, failed = 0;
  std::int64_t acknowledged = 0, lost = 0;
  std::map<std::string, int> failures;            ///< "503 ...": how often
  std::string text;                               ///< for a failed test
  std::vector<std::int64_t> at_ms, failed_at_ms;  ///< when they were due, since 1970
  /// Requests, and failed ones, that were due in this stretch of time.
  std::pair<std::size_t, std::size_t> between(std::int64_t begin_ms, std::int64_t end_ms) const;
};

/// A site with three nodes and users, whose conductor is killed and started by the test.
class FaultSite {
 public:
  explicit FaultSite(SiteSetup setup = {}, int rate = 60);
  ~FaultSite();
  SiteFixture& fixture() { return *site_; }
  local::Site& operator*() { return **site_; }
  local::Site* operator->() { return site_->operator->(); }

  /// The users come. ASSERT_NO_FATAL_FAILURE.
  void users_come();
  Users& users() { return *users_; }
  /// They go home; each acknowledged write is read back from each node, and none may be lost, stale or doubled.
  Figures figures();
  /// The row of docs/faults.md, on the screen.
  static void print_row(const std::string& fault, const Figures& figures, const std::string& ending);

  /// First column of the first row; "" where there is none. Waits for a server that is away.
  std::string sql(const std::string& statement);

  void start_conductor(const std::string& soak_seconds = "0");
  void kill_conductor();
  local::Process& conductor() { return conductor_; }
  /// What the dead one's lease would keep the next one from is over at once.
  void end_conductors_lease();

  /// Asks for an upgrade to the target release; `options`, JSON, are those that differ from a run without load limit,
  /// soak and hold. ASSERT_NO_FATAL_FAILURE.
  void begin_run(const std::string& options = "{}", const std::string& to = {});
  void ask(const std::string& what);  ///< "cancel" or "resume"
  /// state: "running", "done", ...; "" where there is no run.
  std::string run_state() { return sql("select state from upgrade_run order by id desc limit 1"); }
  /// The same by the database alone, with all options. ASSERT_NO_FATAL_FAILURE.
  void begin_run_at_the_desk(const rollout::Options& options);
  std::string run_message() { return sql("select message from upgrade_run order by id desc limit 1"); }
  /// The newest entry of the newest run.
  JournalStep newest_step();
  std::vector<JournalStep> journal();
  /// Whether that step has begun, in the newest run. `node` "": of any.
  bool has_begun(const std::string& kind, const std::string& node = {}, bool back = false);
  /// Waits for it; false also when the run ends or pauses meanwhile.
  bool await_step(const std::string& kind, const std::string& node = {}, bool back = false);
  /// Waits until the run is done, cancelled, paused or failed, and says which.
  std::string await_end(std::chrono::seconds limit = std::chrono::seconds(90));
  /// The nodes whose draining has begun, in their order.
  std::vector<std::string> begun(bool back = false);

  /// From the agents' logs and journals.
  std::map<std::string, Deeds> deeds();
  /// Of the agent of host1.
  pid_t agent_pid();

 private:
  std::unique_ptr<SiteFixture> site_;
  std::unique_ptr<Users> users_;
  local::Process conductor_;
  pg_conn* link_ = nullptr;
  int rate_;
};

/// Holds conductors back at the moment when they write that a step is over: the act is done, the journal does not
/// say so yet. Only outcomes of steps that were not let through.
class JournalGate {
 public:
  explicit JournalGate(FaultSite& site);
  ~JournalGate();
  JournalGate(const JournalGate&) = delete;
  JournalGate& operator=(const JournalGate&) = delete;
  /// Only this kind of step is held from now on; "" holds every one.
  void only(const std::string& kind);
  /// True when a conductor stands there.
  bool waits();
  /// Its transaction is over, with nothing written.
  void end_the_one_that_waits();
  enum class Through { step, kind };
  /// The outcome of this step, or of all of its kind and direction, is not held any more.
  void let_through(const JournalStep& step, Through what = Through::step);
  /// Everybody may pass.
  void open();

 private:
  FaultSite& site_;
  pg_conn* holder_;
};

}  // namespace afloat::test
