#include "support/protocol.h"

#include <sstream>

#include "store/schema.h"
#include "version/version.h"

namespace afloat::test {

Session::Session(const std::string& connection) : connection_(PQconnectdb(connection.c_str())) {
  if (PQstatus(connection_) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_));
}

std::string Session::finish() {
  std::string state;
  while (PGresult* result = PQgetResult(connection_)) {
    const auto status = PQresultStatus(result);
    if (const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE); code != nullptr && state.empty()) state = code;
    PQclear(result);
    if (status == PGRES_COPY_IN) break;
  }
  return state;
}

std::string Session::value(const std::string& sql) {
  PGresult* result = PQexec(connection_, sql.c_str());
  std::string found;
  if (PQresultStatus(result) != PGRES_TUPLES_OK)
    ADD_FAILURE() << PQerrorMessage(connection_);
  else if (PQntuples(result) > 0)
    found = PQgetvalue(result, 0, 0);
  PQclear(result);
  return found;
}

std::string Session::copy(const std::string& data) {
  if (PQputCopyData(connection_, data.data(), static_cast<int>(data.size())) != 1 ||
      PQputCopyEnd(connection_, nullptr) != 1)
    return "no COPY is under way";
  return finish();
}

std::string Session::begin_batch(const std::string& statement) {
  PQenterPipelineMode(connection_);
  PQsendQueryParams(connection_, statement.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0);
  PQsendFlushRequest(connection_);
  PQflush(connection_);
  return finish();
}

std::string Session::end_batch(const std::string& statement) {
  PQsendQueryParams(connection_, statement.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0);
  PQpipelineSync(connection_);
  std::string state;
  for (;;) {
    PGresult* result = PQgetResult(connection_);
    if (PQstatus(connection_) == CONNECTION_BAD) {
      PQclear(result);
      return "lost";
    }
    if (result == nullptr) continue;  // between the answers of two statements
    const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (code != nullptr && state.empty()) state = code;
    const bool synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    PQclear(result);
    if (synced) return state;
  }
}

Loop::Loop(const std::string& connection, const std::string& name, int build) {
  postgres::Options options;
  options.connection = connection;
  options.application_name = name;
  options.build = build;
  database = postgres::make_database(context, blocking, options);
}

bool Loop::run_until(std::chrono::milliseconds limit, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done() && std::chrono::steady_clock::now() < end) context.run_for(std::chrono::milliseconds(2));
  return done();
}

Node::Node(const std::string& connection, int build, std::span<const store::UpgradeTask> tasks)
    : Loop(connection, "node", build), cluster(store::make_cluster_store(*database, clock, timer, tasks)) {}

cluster::Candidate candidate(const std::string& name, int build, const std::string& incarnation) {
  cluster::Candidate c;
  c.id = "id-" + name;
  c.name = name;
  c.host = "host1";
  c.address = "127.0.0.1";
  c.port = 1;
  const int numbers = build / 10;
  c.version = {numbers / 1'000'000, numbers / 1'000 % 1'000, numbers % 1'000, {}};
  c.build = build;
  c.incarnation = incarnation;
  c.started_at_ms = 1;
  return c;
}

void fill_cluster(const std::string& connection) {
  std::string all;
  for (auto statement : store::cluster_schema()) all += std::string(statement) + ";";
  all +=
      "insert into cluster_state (cluster_version, min_build, max_build) values ('1.0.0', 10000009, 10000009);"
      "create table doc (id int primary key, body text); insert into doc (id, body) values (1, 'first')";
  if (const auto state = Session(connection).run(all); !state.empty()) throw std::runtime_error(state);
}

void make_ready(Node& node, const Database& site) {
  using cluster::AdmissionOutcome;
  auto admitted = node.run(node.cluster->admit(candidate("n1", old_build), soon()));
  ASSERT_TRUE(admitted) << admitted.error().message();
  auto started = node.run(node.cluster->apply(cluster::Command::start, "test", new_build, std::nullopt, soon()));
  ASSERT_TRUE(started) << started.error().message();
  ASSERT_EQ(site.query("update cluster_state set expand_done = true, max_build = target_build returning 1"), "1");
  admitted = node.run(node.cluster->admit(candidate("n1", new_build, "1-2"), soon()));
  ASSERT_TRUE(admitted && admitted->outcome == AdmissionOutcome::admit);
  ASSERT_TRUE(node.run(node.cluster->set_state("id-n1", "1-2", cluster::NodeState::ACTIVE, false, soon())));
}

int waiting_sessions(const Database& database) {
  return std::stoi(database.query(
      "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"));
}

void install_fence_check(const std::string& connection) {
  std::string all = R"(
create function fence_check() returns trigger language plpgsql as $$
begin
  if coalesce(current_setting('afloat.build', true), '') = '' then
    raise exception '% of % without afloat_write', tg_op, tg_table_name using errcode = 'AF004';
  end if;
  return null;
end $$;)";
  // Every table but those of the cluster and of runs, which locks and tokens of their own protect.
  std::string control;
  for (const auto& schema : {store::cluster_schema(), store::run_schema()})
    for (auto statement : schema) control += std::string(statement) + "\n";
  Session session(connection);
  int tables = 0;
  std::istringstream names(
      session.value("select string_agg(tablename, ' ' order by tablename) from pg_tables where schemaname = 'public'"));
  for (std::string name; names >> name;) {
    if (control.contains("create table " + name + " ")) continue;
    all += "create trigger fence_check before insert or update or delete or truncate on " + name +
           " for each statement execute function fence_check();";
    ++tables;
  }
  ASSERT_GT(tables, 10) << "where are the tables of content?";
  ASSERT_EQ(session.run(all), "");
}

}  // namespace afloat::test
