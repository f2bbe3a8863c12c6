#include "cli/run_desk.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <boost/asio/thread_pool.hpp>
#include <functional>

#include "adapters/asio/runtime.h"
#include "adapters/postgres/database.h"
#include "cli/run_task.h"
#include "rollout/run_json.h"
#include "server/config.h"
#include "store/run_store.h"
#include "version/version.h"

namespace afloat::cli {
namespace {

constexpr auto time_limit = std::chrono::seconds(10);

std::string actor() {
  const auto* user = getpwuid(getuid());
  char host[256] = "host";
  (void)gethostname(host, sizeof host - 1);
  return fmt::format("{}@{}", user ? user->pw_name : "root", host);
}

using Work = std::function<Task<std::int64_t>(RunStore&, Deadline)>;

Task<boost::json::object> at_the_desk(boost::asio::io_context& context, std::string connection, Work work) {
  boost::asio::thread_pool blocking(1);
  SystemClock clock;
  postgres::Options options;
  options.connection = std::move(connection);
  options.application_name = "afloat/upgrade/" + std::to_string(version::this_build());
  options.build = version::this_build();
  options.write_connections = 1;
  options.exclusive_connections = 1;
  auto database = postgres::make_database(context, blocking, options);
  auto runs = store::make_run_store(*database);
  const auto deadline = clock.steady_now() + time_limit;
  auto id = co_await work(*runs, deadline);
  if (!id) co_return std::unexpected(id.error());
  auto run = co_await runs->load(*id, deadline);
  if (!run) co_return std::unexpected(run.error());
  co_return rollout::run_json(*run);
}

Result<boost::json::object> with_runs(const std::string& config, Work work) {
  auto site = server::load_config(config);
  if (!site) return std::unexpected(site.error());
  return run_task<boost::json::object>([connection = site->database, work = std::move(work)](auto& context) {
    return at_the_desk(context, connection, work);
  });
}

Task<std::int64_t> signal_run(RunStore& runs, RunDesk::Signal signal, std::int64_t id, std::string node,
                              Deadline deadline) {
  Result<void> done;
  switch (signal) {
    case RunDesk::Signal::cancel:
      done = co_await runs.request_cancel(id, actor(), deadline);
      break;
    case RunDesk::Signal::resume:
      done = co_await runs.request_resume(id, actor(), deadline);
      break;
    case RunDesk::Signal::pause:
      done = co_await runs.request_pause(id, actor(), deadline);
      break;
    case RunDesk::Signal::rollback:
      done = co_await runs.request_rollback(id, std::move(node), actor(), deadline);
      break;
  }
  if (!done) co_return std::unexpected(done.error());
  co_return id;
}

Task<std::int64_t> known_run(RunStore& runs, std::int64_t id, Deadline deadline) {
  if (id > 0) co_return id;
  auto latest = co_await runs.list(1, deadline);
  if (!latest) co_return std::unexpected(latest.error());
  if (latest->empty()) co_return fail(ErrorKind::not_found, "This site has had no upgrade run yet.");
  co_return latest->front().id;
}

}  // namespace

Result<boost::json::object> RunDesk::create(std::string to, std::string reason, rollout::Options options) {
  NewRun run{.to = std::move(to),
             .reason = std::move(reason),
             .actor = actor(),
             .options = options,
             .build = version::this_build()};
  return with_runs(config_,
                   [run = std::move(run)](RunStore& runs, Deadline deadline) { return runs.create(run, deadline); });
}

Result<boost::json::object> RunDesk::show(std::int64_t id) {
  return with_runs(config_, [id](RunStore& runs, Deadline deadline) { return known_run(runs, id, deadline); });
}

Result<boost::json::object> RunDesk::send(Signal signal, std::int64_t id, std::string node) {
  return with_runs(config_,
                   [=](RunStore& runs, Deadline deadline) { return signal_run(runs, signal, id, node, deadline); });
}

}  // namespace afloat::cli
