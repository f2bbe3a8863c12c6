#include "faults/fault_site.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <signal.h>

#include <boost/json.hpp>

#include "adapters/http/client.h"
#include "agent/process.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/load.h"
#include "cli/run_desk.h"

namespace afloat::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr const char* gate_key = "4711, 1";

SiteSetup with_own_conductor(SiteSetup setup) {
  setup.conductor = false;
  return setup;
}

PGconn* connect(const std::string& where) {
  PGconn* link = nullptr;
  EXPECT_TRUE(eventually(seconds(20), [&] {
    if (link) PQfinish(link);
    link = PQconnectdb(where.c_str());
    return PQstatus(link) == CONNECTION_OK;
  })) << PQerrorMessage(link);
  return link;
}

/// nullopt: the connection broke.
std::optional<std::vector<std::string>> first_row(PGconn* link, const std::string& statement) {
  PGresult* answer = PQexec(link, statement.c_str());
  std::vector<std::string> row;
  const auto status = PQresultStatus(answer);
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    const bool broken = PQstatus(link) != CONNECTION_OK;
    if (!broken) ADD_FAILURE() << statement << ": " << PQresultErrorMessage(answer);
    PQclear(answer);
    if (broken) return std::nullopt;
    return row;
  }
  if (PQntuples(answer) > 0)
    for (int column = 0; column < PQnfields(answer); ++column) row.emplace_back(PQgetvalue(answer, 0, column));
  PQclear(answer);
  return row;
}

}  // namespace

std::string JournalStep::title() const { return (back ? "back: " : "") + kind + (node.empty() ? "" : " " + node); }

std::pair<std::size_t, std::size_t> Figures::between(std::int64_t begin_ms, std::int64_t end_ms) const {
  const auto count = [&](const std::vector<std::int64_t>& times) {
    return static_cast<std::size_t>(
        std::ranges::count_if(times, [&](std::int64_t at) { return at >= begin_ms && at < end_ms; }));
  };
  return {count(at_ms), count(failed_at_ms)};
}

FaultSite::FaultSite(SiteSetup setup, int rate)
    : site_(std::make_unique<SiteFixture>(with_own_conductor(std::move(setup)))), rate_(rate) {
  link_ = connect((*site_)->database());
  make_space(*site_);
  for (const char* title : {"Harbour lights", "Anchor chains", "Tidal tables", "Signal flags"})
    make_page(site_->admin("node1"), title, std::string("About ") + title);
}

FaultSite::~FaultSite() {
  if (testing::Test::HasFailure() && conductor_.running())
    std::fprintf(stderr, "-- end of the conductor's log\n%s", conductor_.last_lines(25).c_str());
  users_.reset();
  conductor_.stop(seconds(5));
  PQfinish(link_);
}

void FaultSite::users_come() {
  users_ = std::make_unique<Users>(*site_, rate_);
  ASSERT_TRUE(users_->begin()) << users_->words();
  ASSERT_TRUE(users_->work(milliseconds(500))) << users_->words();
}

Figures FaultSite::figures() {
  Figures seen;
  EXPECT_TRUE(users_->work(milliseconds(700))) << users_->words();
  EXPECT_TRUE(users_->go_home()) << users_->words();
  auto ledger = cli::read_ledger(users_->ledger());
  if (!ledger) {
    ADD_FAILURE() << ledger.error().message();
    return seen;
  }
  EXPECT_TRUE(ledger->ended);
  seen.requests = ledger->outcomes.size();
  for (const auto& outcome : ledger->outcomes) {
    seen.at_ms.push_back(outcome.at_ms);
    if (outcome.failure.empty()) continue;
    seen.failed_at_ms.push_back(outcome.at_ms);
    if (++seen.failed <= 10)
      seen.text += fmt::format("{} at {} by {}: {}\n", outcome.kind, outcome.at_ms, outcome.node, outcome.failure);
    ++seen.failures[outcome.failure.substr(0, 40)];
  }
  cli::VerifyOptions verify;
  for (const auto& node : (*site_)->nodes()) verify.nodes.push_back(node.url());
  verify.admin_password = (*site_)->admin_password();
  auto verified = cli::verify_ledger(*ledger, verify);
  if (!verified) {
    ADD_FAILURE() << verified.error().message();
    return seen;
  }
  seen.acknowledged = verified->acknowledged;
  seen.lost = verified->acknowledged - verified->verified;
  EXPECT_GT(verified->acknowledged, 10);
  EXPECT_TRUE(verified->good()) << cli::to_json(*verified);
  return seen;
}

void FaultSite::print_row(const std::string& fault, const Figures& figures, const std::string& ending) {
  std::string kinds;
  for (const auto& [failure, count] : figures.failures) kinds += fmt::format("; {} x {}", count, failure);
  fmt::print("| {} | {} of {} | {} of {} | {} |{}\n", fault, figures.failed, figures.requests, figures.lost,
             figures.acknowledged, ending, kinds);
}

std::string FaultSite::sql(const std::string& statement) {
  for (int tries = 0; tries < 3; ++tries) {
    if (auto row = first_row(link_, statement)) return row->empty() ? std::string() : row->front();
    PQfinish(link_);
    link_ = connect((*site_)->database());
  }
  ADD_FAILURE() << "the database breaks the connection again and again: " << statement;
  return {};
}

void FaultSite::start_conductor(const std::string& soak_seconds) {
  local::ProcessOptions run;
  run.argv = {bundles().program, "conductor", "--config", (*site_)->config(), "--soak", soak_seconds};
  run.env = (*site_)->credentials();
  run.log = (*site_)->dir() + "/logs/conductor.log";
  auto started = local::Process::start(run);
  ASSERT_TRUE(started) << started.error().message();
  conductor_ = std::move(*started);
}

void FaultSite::kill_conductor() { conductor_.stop(seconds(5), SIGKILL); }

void FaultSite::end_conductors_lease() { sql("update conductor_lease set lease_until = clock_timestamp()"); }

void FaultSite::begin_run(const std::string& options, const std::string& to) {
  // Without the parts of a run that wait, but where a test is about them.
  boost::json::object wishes{{"max_load", 0}, {"soak_ms", 0}, {"hold_before_finalize", false}};
  for (const auto& [name, value] : boost::json::parse(options).as_object()) wishes[name] = value;
  const auto begun = site_->admin("node1").post(
      "/rest/afloat/1/runs", fmt::format(R"({{"to":"{}","acknowledge_notes":true,"options":{}}})",
                                         to.empty() ? bundles().to : to, boost::json::serialize(wishes)));
  ASSERT_EQ(begun.status, 201) << *begun.body;
}

void FaultSite::begin_run_at_the_desk(const rollout::Options& options) {
  const auto begun = cli::RunDesk((*site_)->config()).create(bundles().to, "", options);
  ASSERT_TRUE(begun) << begun.error().message();
}

void FaultSite::ask(const std::string& what) {
  const auto run = sql("select id from upgrade_run order by id desc limit 1");
  const auto before = run_state();
  const auto asked = site_->admin().post("/rest/afloat/1/runs/" + run + "/" + what);
  EXPECT_EQ(asked.status, 202) << what << ": " << *asked.body;
  // Whoever waits for its end must not find the pause that was.
  if (before == "paused")
    EXPECT_TRUE(eventually(seconds(10), [&] { return run_state() != "paused"; })) << run_message();
}

std::vector<JournalStep> FaultSite::journal() {
  std::vector<JournalStep> steps;
  const auto rows =
      sql("select coalesce(string_agg(concat_ws(',', seq, kind, node, state, back), ';' order by seq), '') from "
          "upgrade_step where run_id = (select max(id) from upgrade_run)");
  for (const auto& row : split(rows, ';')) {
    const auto fields = split(row, ',');
    if (fields.size() != 5) continue;
    steps.push_back({parse_int(fields[0]).value_or(0), fields[1], fields[2], fields[3], fields[4] == "t"});
  }
  return steps;
}

JournalStep FaultSite::newest_step() {
  const auto steps = journal();
  return steps.empty() ? JournalStep{} : steps.back();
}

bool FaultSite::has_begun(const std::string& kind, const std::string& node, bool back) {
  return sql(fmt::format("select 1 from upgrade_step where run_id = (select max(id) from upgrade_run) and kind = '{}' "
                         "and ('{}' = '' or node = '{}') and back = {} limit 1",
                         kind, node, node, back)) == "1";
}

bool FaultSite::await_step(const std::string& kind, const std::string& node, bool back) {
  bool begun = false;
  const bool in_time = eventually(seconds(60), [&] {
    begun = has_begun(kind, node, back);
    const auto state = begun ? std::string() : run_state();
    return begun || state == "done" || state == "cancelled" || state == "paused" || state == "failed";
  });
  EXPECT_TRUE(in_time && begun) << kind << " " << node << ": the run is " << run_state() << ": " << run_message();
  return begun;
}

std::string FaultSite::await_end(seconds limit) {
  std::string state;
  const bool ended = eventually(limit, [&] {
    state = run_state();
    return state == "done" || state == "cancelled" || state == "paused" || state == "failed";
  });
  EXPECT_TRUE(ended) << "the run is " << state << " at " << newest_step().title() << ": " << run_message();
  return state;
}

std::vector<std::string> FaultSite::begun(bool back) {
  std::vector<std::string> nodes;
  for (const auto& step : journal())
    if (step.kind == "drain" && step.back == back && std::ranges::find(nodes, step.node) == nodes.end())
      nodes.push_back(step.node);
  return nodes;
}

std::map<std::string, Deeds> FaultSite::deeds() {
  std::map<std::string, Deeds> deeds;
  std::set<std::string> hosts;
  for (const auto& node : (*site_)->nodes()) hosts.insert(node.host);
  for (const auto& host : hosts) {
    auto log = local::read_file((*site_)->dir() + "/logs/agent-" + host + ".log");
    EXPECT_TRUE(log) << host;
    for (const auto& line : split(log.value_or(""), '\n'))
      for (const auto& node : (*site_)->nodes()) {
        if (line.find("node " + node.name + " started as") != std::string::npos) ++deeds[node.name].started;
        if (line.find("node " + node.name + " (") != std::string::npos && line.ends_with(": SIGTERM"))
          ++deeds[node.name].stopped;
      }
    auto journal = local::read_file((*site_)->dir() + "/hosts/" + host + "/journal.jsonl");
    EXPECT_TRUE(journal) << host;
    for (const auto& line : split(journal.value_or(""), '\n')) {
      auto entry = line.empty() ? Result<boost::json::object>() : parse_json_object(line, "the agent's journal");
      if (entry && string_or(*entry, "kind") == "switch" && string_or(*entry, "outcome") == "done")
        ++deeds[string_or(*entry, "node")].switched;
    }
  }
  return deeds;
}

pid_t FaultSite::agent_pid() {
  auto found = agent::find_process(
      {bundles().program, "agent", "--config", (*site_)->config(), "--host", "host1", "--stop-nodes"});
  EXPECT_TRUE(found) << found.error().message();
  return found ? found->pid : 0;
}

JournalGate::JournalGate(FaultSite& site) : site_(site), holder_(connect(site->database())) {
  first_row(holder_, std::string("select pg_advisory_lock(") + gate_key + ")");
  site_.sql("create table if not exists fault_gate (seq bigint, kind text, back boolean, only_kind text)");
  site_.sql("delete from fault_gate");
  site_.sql(std::string(R"(create or replace function fault_gate() returns trigger language plpgsql as $$
    begin
      if current_setting('application_name') like 'afloat/conductor/%' and new.state in ('done', 'refused')
         and old.state = 'running'
         and not exists (select from fault_gate where seq = new.seq or (kind = new.kind and back = new.back))
         and not exists (select from fault_gate where only_kind <> new.kind) then
        perform pg_advisory_xact_lock()") +
            gate_key + R"();
      end if;
      return new;
    end $$)");
  site_.sql(
      "create or replace trigger fault_gate before update on upgrade_step for each row execute function fault_gate()");
}

JournalGate::~JournalGate() {
  PQfinish(holder_);
  site_.sql("drop trigger if exists fault_gate on upgrade_step");
}

void JournalGate::only(const std::string& kind) {
  site_.sql("delete from fault_gate where only_kind is not null");
  if (!kind.empty()) site_.sql("insert into fault_gate (only_kind) values ('" + kind + "')");
}

bool JournalGate::waits() {
  return site_.sql(
             "select 1 from pg_locks where locktype = 'advisory' and classid = 4711 and not granted and database = "
             "(select oid from pg_database where datname = current_database()) limit 1") == "1";
}

void JournalGate::end_the_one_that_waits() {
  site_.sql(
      "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 4711 and not "
      "granted and database = (select oid from pg_database where datname = current_database())");
  EXPECT_TRUE(eventually(seconds(5), [&] { return !waits(); }));
}

void JournalGate::let_through(const JournalStep& step, Through what) {
  site_.sql(what == Through::step
                ? fmt::format("insert into fault_gate (seq) values ({})", step.seq)
                : fmt::format("insert into fault_gate (kind, back) values ('{}', {})", step.kind, step.back));
}

void JournalGate::open() { first_row(holder_, std::string("select pg_advisory_unlock(") + gate_key + ")"); }

}  // namespace afloat::test
