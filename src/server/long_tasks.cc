#include "server/long_tasks.h"

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/asio/runtime.h"
#include "base/hash.h"
#include "server/context.h"

namespace afloat::server {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t most_notes = 500;  // kept in the row; further ones are only counted
constexpr auto flush_interval = milliseconds(500);

constexpr std::string_view columns_sql =
    "select id, kind, title, node, state, percent, message, notes,"
    " (extract(epoch from coalesce(ended_at, now()) - started_at) * 1000)::bigint from long_task";

boost::json::object described(const Rows& rows, std::size_t row) {
  const auto state = rows.text(row, 4);
  boost::json::array messages;
  if (const auto message = rows.text(row, 6); !message.empty())
    messages.push_back({{"translation", message}, {"args", boost::json::array()}});
  boost::system::error_code error;
  const auto notes = boost::json::parse(rows.text(row, 7), error);
  if (!error && notes.is_array())
    for (const auto& note : notes.get_array())
      messages.push_back({{"translation", note}, {"args", boost::json::array()}});
  return {{"id", rows.text(row, 0)},
          {"name", {{"key", rows.text(row, 1)}, {"args", boost::json::array()}}},
          {"title", rows.text(row, 2)},
          {"node", rows.text(row, 3)},
          {"elapsedTime", rows.number(row, 8)},
          {"percentageComplete", rows.number(row, 5)},
          {"successful", state == "done"},
          {"finished", state != "running"},
          {"messages", std::move(messages)},
          {"_links", {{"self", "/rest/api/longtask/" + rows.text(row, 0)}}}};
}

struct State {
  explicit State(LongTaskDependencies dependencies) : with(std::move(dependencies)) {}
  LongTaskDependencies with;

  Task<void> write(Statement statement, Deadline deadline) {
    auto run = [this, &statement, deadline](Gates gates) { return write_once(statement, gates, deadline); };
    co_return co_await with_gates<void>(with.gates, with.refresh_gates, deadline, run);
  }
  Task<void> write_once(Statement statement, Gates gates, Deadline deadline) {
    std::vector<Statement> statements;
    statements.push_back(std::move(statement));
    auto done = co_await with.database.write(gates, std::move(statements), {}, deadline);
    if (!done) co_return std::unexpected(done.error());
    co_return Result<void>();
  }
};

class RunningTask final : public LongTasks::Progress {
 public:
  RunningTask(std::shared_ptr<State> state, std::string id) : state_(std::move(state)), id_(std::move(id)) {}

  void set(int percent, std::string message) override {
    percent_ = std::clamp(percent, 0, 99);
    message_ = std::move(message);
    dirty_ = true;
  }
  void note(std::string message) override {
    if (notes_.size() < most_notes)
      notes_.push_back(boost::json::value(message));
    else
      ++notes_left_out_;
    dirty_ = true;
  }
  bool stop_requested() const override { return state_->with.stopping && state_->with.stopping(); }

  /// Writes progress until the work has ended.
  static Async<void> flush_while_running(std::shared_ptr<RunningTask> self) {
    AsioTimer timer(self->state_->with.executor);
    while (!self->ended_) {
      auto slept = co_await timer.sleep_until(self->state_->with.clock.steady_now() + flush_interval);
      if (!slept || self->ended_) co_return;
      if (!self->dirty_) continue;
      self->dirty_ = false;
      auto written = co_await self->state_->write(
          {"update long_task set percent = $2::integer, message = $3, notes = $4::jsonb, updated_at = now()"
           " where id = $1 and state = 'running'",
           {self->id_, self->percent_, self->message_, self->notes()}},
          self->state_->with.clock.steady_now() + seconds(5));
      if (!written) self->dirty_ = true;
    }
  }

  static Async<void> run(std::shared_ptr<RunningTask> self,
                         std::move_only_function<Task<std::string>(LongTasks::Progress&)> work) {
    spawn(self->state_->with.executor, "long task progress", [self] { return flush_while_running(self); });
    Result<std::string> outcome = fail(ErrorKind::internal, "The task ended without a result.");
    try {
      outcome = co_await work(*self);
    } catch (const std::exception& failure) {
      outcome = fail(ErrorKind::internal, failure.what());
    }
    self->ended_ = true;
    co_await self->close(outcome);
    --*self->state_->with.running;
  }

 private:
  std::string notes() const {
    auto all = notes_;
    if (notes_left_out_ > 0) all.push_back(boost::json::value("and " + std::to_string(notes_left_out_) + " more"));
    return boost::json::serialize(all);
  }

  Async<void> close(Result<std::string> outcome) {
    AsioTimer timer(state_->with.executor);
    const auto& clock = state_->with.clock;
    for (int attempt = 0; attempt < 10; ++attempt) {
      auto written = co_await state_->write(
          {"update long_task set state = $2, percent = $3::integer, message = $4, notes = $5::jsonb,"
           " updated_at = now(), ended_at = now() where id = $1",
           {id_, outcome ? "done" : "failed", outcome ? 100 : percent_, outcome ? *outcome : outcome.error().message(),
            notes()}},
          clock.steady_now() + seconds(5));
      if (written) co_return;
      if (auto slept = co_await timer.sleep_until(clock.steady_now() + seconds(1)); !slept) co_return;
    }
  }

  std::shared_ptr<State> state_;
  std::string id_;
  int percent_ = 0;
  std::string message_;
  boost::json::array notes_;
  std::size_t notes_left_out_ = 0;
  bool dirty_ = false;
  bool ended_ = false;
};

class StoredLongTasks final : public LongTasks {
 public:
  explicit StoredLongTasks(LongTaskDependencies dependencies)
      : state_(std::make_shared<State>(std::move(dependencies))) {}

  Task<std::string> start(std::string kind, std::string title, std::string actor,
                          std::move_only_function<Task<std::string>(Progress&)> work, Deadline deadline) override {
    const auto state = state_;
    if (state->with.stopping && state->with.stopping())
      co_return fail(ErrorKind::unavailable, "This node is leaving service and starts no new tasks; try again.");
    auto id = random_uuid();
    // Counted first, so that a drain that begins now waits for it.
    ++*state->with.running;
    auto inserted = co_await state->write(
        {"insert into long_task (id, kind, title, actor, node) values ($1, $2, $3, $4, $5) on conflict do nothing",
         {id, kind, title, actor, state->with.node}},
        deadline);
    if (!inserted) {
      --*state->with.running;
      co_return std::unexpected(inserted.error());
    }
    auto task = std::make_shared<RunningTask>(state, id);
    // std::function wants a copyable callable; it is called once.
    auto held = std::make_shared<std::move_only_function<Task<std::string>(Progress&)>>(std::move(work));
    spawn(state->with.executor, "long task", [task, held] { return RunningTask::run(task, std::move(*held)); });
    co_return id;
  }

  Task<std::optional<std::string>> describe(std::string id, Deadline deadline) override {
    static const std::string sql = std::string(columns_sql) + " where id = $1";
    auto rows = co_await state_->with.database.read({sql, {id}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    if (rows->empty()) co_return std::nullopt;
    co_return boost::json::serialize(described(*rows, 0));
  }

  Task<std::vector<std::string>> list(int start, int limit, Deadline deadline) override {
    static const std::string sql =
        std::string(columns_sql) + " order by started_at desc, id offset $1::bigint limit $2::bigint";
    auto rows = co_await state_->with.database.read({sql, {start, limit}}, deadline);
    if (!rows) co_return std::unexpected(rows.error());
    std::vector<std::string> tasks;
    for (std::size_t row = 0; row < rows->size(); ++row) tasks.push_back(boost::json::serialize(described(*rows, row)));
    co_return tasks;
  }

  int running() const override { return state_->with.running->load(); }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<LongTasks> make_long_tasks(LongTaskDependencies dependencies) {
  return std::make_unique<StoredLongTasks>(std::move(dependencies));
}

Task<void> fail_unfinished_tasks(Database& database, Gates gates, std::string node, Deadline deadline) {
  std::vector<Statement> statements;
  statements.push_back(
      {"update long_task set state = 'failed', message = 'the node stopped', updated_at = now(),"
       " ended_at = now() where node = $1 and state = 'running'",
       {std::move(node)}});
  auto done = co_await database.write(gates, std::move(statements), {}, deadline);
  if (!done) co_return std::unexpected(done.error());
  co_return Result<void>();
}

}  // namespace afloat::server
