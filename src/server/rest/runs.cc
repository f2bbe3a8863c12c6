#include "server/rest/runs.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"
#include "rollout/plan.h"
#include "rollout/run_json.h"
#include "rollout/step.h"
#include "server/auth.h"
#include "server/rest/run_notes.h"
#include "server/upgrade_look.h"
#include "store/cluster_store.h"
#include "store/run_store.h"
#include "version/version.h"

namespace afloat::server {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto poll_every = 100ms;
constexpr auto comment_every = 10s;

class Runs : public std::enable_shared_from_this<Runs> {
 public:
  explicit Runs(Context& context)
      : context_(context),
        notes_(context),
        runs_(store::make_run_store(context.database)),
        cluster_(store::make_cluster_store(context.database, context.clock, context.timer)) {}

  Async<http::Response> create(http::Request request) {
    auto identity = co_await require_administrator_for_change(context_.auth, request);
    if (!identity) co_return http::error_response(identity.error());
    auto body = parse_json_object(request.body, "the request body");
    if (!body) co_return http::error_response(body.error());
    const auto typed = required_string(*body, "to");
    if (!typed) co_return http::error_response(typed.error());
    auto target = co_await notes_.target_of(*typed);
    if (!target) co_return http::error_response(target.error());
    auto run = new_run(*body, *target, identity->user_name);
    if (!run) co_return http::error_response(run.error());
    const auto acknowledges = optional_bool(*body, "acknowledge_notes");
    if (!acknowledges) co_return http::error_response(acknowledges.error());
    auto notes = co_await notes_.look_from_here(std::move(*target), request.deadline);
    if (!notes) co_return http::error_response(notes.error());
    // Whatever was sent: where this node can record who has read the notes, the run asks for it.
    run->options.notes_recorded = notes->knows_target();
    std::optional<std::vector<std::string>> acknowledged;
    if (acknowledges->value_or(false)) {
      auto after = co_await notes_.acknowledge(std::move(*notes), identity->user_name, request.deadline);
      if (!after) co_return http::error_response(after.error());
      acknowledged = after->versions();
    }
    auto id = co_await runs_->create(std::move(*run), request.deadline);
    if (!id) co_return http::error_response(id.error());
    auto response = co_await shown(*id, 201, request.deadline, std::move(acknowledged));
    response.headers.set("Location", fmt::format("/rest/afloat/1/runs/{}", *id));
    co_return response;
  }

  Async<http::Response> list(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return http::error_response(identity.error());
    const auto limit = parse_int(request.query_or("limit", "25"));
    if (!limit || *limit < 1 || *limit > 200)
      co_return http::error_response(Error(ErrorKind::invalid_argument, "limit must be a number from 1 to 200"));
    auto runs = co_await runs_->list(static_cast<int>(*limit), request.deadline);
    if (!runs) co_return http::error_response(runs.error());
    // How long nobody served stands in the steps, and the list has none; few runs have any downtime.
    for (auto& run : *runs)
      if (run.options.offline)
        if (auto whole = co_await runs_->load(run.id, request.deadline)) run.steps = std::move(whole->steps);
    auto leadership = co_await runs_->leadership(request.deadline);
    json::array array;
    for (const auto& run : *runs) {
      auto object = rollout::run_json(run);
      object["steps"] = json::array();
      array.push_back(std::move(object));
    }
    co_return http::json_response(
        200,
        json::serialize(json::object{{"runs", std::move(array)}, {"conductor", leadership ? leadership->holder : ""}}));
  }

  Async<http::Response> show(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return http::error_response(identity.error());
    const auto id = parse_int(request.capture("id"));
    if (!id) co_return http::error_response(no_number(request));
    co_return co_await shown(*id, 200, request.deadline);
  }

  Async<http::Response> cancel(http::Request request) {
    return signal(std::move(request), [this](std::int64_t id, std::string actor, const json::object&, Deadline deadline) {
      return runs_->request_cancel(id, std::move(actor), deadline);
    });
  }
  Async<http::Response> resume(http::Request request) {
    return signal(std::move(request), [this](std::int64_t id, std::string actor, const json::object&, Deadline deadline) {
      return runs_->request_resume(id, std::move(actor), deadline);
    });
  }
  Async<http::Response> pause(http::Request request) {
    return signal(std::move(request), [this](std::int64_t id, std::string actor, const json::object&, Deadline deadline) {
      return runs_->request_pause(id, std::move(actor), deadline);
    });
  }
  Async<http::Response> rollback(http::Request request) {
    return signal(std::move(request), [this](std::int64_t id, std::string actor, const json::object& body, Deadline deadline) {
      return runs_->request_rollback(id, string_or(body, "node"), std::move(actor), deadline);
    });
  }

  Async<http::Response> plan(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return http::error_response(identity.error());
    const auto to = request.query_value("to");
    if (!to) co_return http::error_response(Error(ErrorKind::invalid_argument, "Say the target: ?to=VERSION."));
    auto site = co_await look_at_site(context_, *cluster_, request.deadline);
    if (!site) co_return http::error_response(site.error());
    auto durations = co_await runs_->durations(request.deadline);
    if (!durations) co_return http::error_response(durations.error());
    rollout::Options wishes;
    wishes.offline = request.query_or("offline", "false") == "true";
    // Whether the conductor has a backup command it alone knows; that it had one, the journal tells.
    wishes.backup = durations->contains(rollout::StepKind::backup);
    auto look = co_await look_at_upgrade(context_, std::move(*site), *runs_, notes_, *to, request.deadline, wishes);
    if (!look) co_return http::error_response(look.error());
    const auto& run = look->run;
    const auto planned = rollout::plan(run, look->seen, *durations);
    json::array steps;
    std::int64_t expected = 0;
    for (const auto& step : planned) {
      expected += step.expected_ms;
      steps.push_back(json::object{{"name", std::string(rollout::to_string(step.kind))},
                                   {"title", rollout::title_of(step.kind, step.node)},
                                   {"node", step.node},
                                   {"hop", step.hop + 1},
                                   {"expected_ms", step.expected_ms},
                                   {"deadline_s", rollout::deadline_of(step.kind, run.options) / 1000},
                                   {"point_of_no_return", step.point_of_no_return}});
    }
    co_return http::json_response(
        200, json::serialize(json::object{{"from", run.from},
                                          {"to", run.to},
                                          {"possible", !look->failed()},
                                          {"verdict", std::string(to_string(look->verdict))},
                                          {"hops", json::value_from(look->seen.way)},
                                          {"expected_ms", expected},
                                          {"offline", run.options.offline},
                                          {"downtime_ms", rollout::expected_downtime_ms(run, planned)},
                                          {"checks", json::parse(rollout::to_json(look->checks))},
                                          {"steps", std::move(steps)}}));
  }

  Async<http::Response> events(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return http::error_response(identity.error());
    const auto id = parse_int(request.capture("id"));
    if (!id) co_return http::error_response(no_number(request));
    auto known = co_await runs_->last_change(*id, request.deadline);
    if (!known) co_return http::error_response(known.error());
    const auto last = std::string(request.headers.get("Last-Event-ID"));
    const auto after = parse_int(last.empty() ? request.query_or("after", "0") : last).value_or(0);

    http::Response response;
    response.headers.set("Content-Type", "text/event-stream");
    response.headers.set("Cache-Control", "no-store");
    response.stream = [self = shared_from_this(), id = *id, after](http::StreamWriter& writer) {
      return follow(self, &writer, id, after);
    };
    co_return response;
  }

 private:
  static Error no_number(const http::Request& request) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("\"{}\" is not the number of an upgrade run; GET /rest/afloat/1/runs lists them.",
                             request.capture("id")));
  }

  Result<NewRun> new_run(const json::object& body, const version::Version& to, const std::string& actor) const {
    auto reason = optional_string(body, "reason");
    if (!reason) return std::unexpected(reason.error());
    if (reason->value_or("").size() > 2'000)
      return fail(ErrorKind::invalid_argument, "reason is longer than 2,000 bytes; keep it to a line or two");
    NewRun run{.to = version::to_string(to),
               .reason = reason->value_or(""),
               .actor = actor,
               .options = {},
               .build = context_.node.build};
    if (const auto* given = body.if_contains("options"); given && !given->is_null()) {
      auto options = rollout::parse_options(json::serialize(*given));
      if (!options) return std::unexpected(options.error());
      run.options = *options;
    }
    return run;
  }

  using Signal = std::function<Task<void>(std::int64_t id, std::string actor, const json::object& body, Deadline)>;
  Async<http::Response> signal(http::Request request, Signal send) {
    auto identity = co_await require_administrator_for_change(context_.auth, request);
    if (!identity) co_return http::error_response(identity.error());
    const auto id = parse_int(request.capture("id"));
    if (!id) co_return http::error_response(no_number(request));
    const auto body = parse_json_object(request.body.empty() ? "{}" : request.body, "the request body");
    if (!body) co_return http::error_response(body.error());
    auto done = co_await send(*id, identity->user_name, *body, request.deadline);
    if (!done) co_return http::error_response(done.error());
    co_return co_await shown(*id, 202, request.deadline);
  }

  /// `acknowledged`: versions whose notes whoever begins the run says to have read.
  Async<http::Response> shown(std::int64_t id, int status, Deadline deadline,
                              std::optional<std::vector<std::string>> acknowledged = std::nullopt) {
    auto run = co_await runs_->load(id, deadline);
    if (!run) co_return http::error_response(run.error());
    auto object = co_await described(&*run, deadline);
    if (acknowledged) object["notes_acknowledged"] = json::value_from(*acknowledged);
    rollout::Observation seen;
    auto snapshot = co_await cluster_->observe(deadline);
    auto durations = co_await runs_->durations(deadline);
    if (snapshot && durations) {
      seen.now_ms = snapshot->now_ms;
      seen.cluster = std::move(*snapshot);
      const auto progress = rollout::progress(*run, seen, *durations);
      object["steps_total"] = progress.total;
      object["steps_done"] = progress.done;
      // Nobody works on it, so nothing gets nearer.
      object["left_ms"] = string_or(object, "conductor").empty() ? 0 : progress.left_ms;
      object["now_ms"] = seen.now_ms;
    }
    // Nodes of two releases answer while a run lasts: whoever asks may prefer the newer ones' picture.
    object["node_build"] = context_.node.build;
    co_return http::json_response(status, json::serialize(object));
  }

  /// With who conducts it, and where nobody does, why.
  Async<json::object> described(const rollout::Run* run, Deadline deadline) {
    auto object = rollout::run_json(*run);
    auto leadership = co_await runs_->leadership(deadline);
    object["conductor"] = leadership ? leadership->holder : "";
    object["conductor_silent_since_ms"] = leadership ? leadership->silent_since_ms : 0;
    if (leadership && leadership->holder.empty() && !run->ended())
      object["message"] = (leadership->declined.empty()
                               ? "No conductor is at work: start one with `afloat conductor --config site.toml`. "
                               : "No conductor leads: " + leadership->declined + ". ") +
                          run->message;
    co_return object;
  }

  static std::string event(std::int64_t id, std::string_view name, const std::string& data) {
    return fmt::format("id: {}\nevent: {}\ndata: {}\n\n", id, name, data);
  }

  /// Any node can go on with a stream that began on another: ids are numbers of the database.
  static Async<void> follow(std::shared_ptr<Runs> self, http::StreamWriter* writer, std::int64_t id,
                            std::int64_t after) {
    auto last_written = self->context_.clock.steady_now();
    while (!writer->closing()) {
      const auto deadline = self->context_.clock.steady_now() + 3s;
      auto changed = co_await self->runs_->last_change(id, deadline);
      std::string bytes;
      bool ended = false;
      if (changed && *changed > after) {
        auto steps = co_await self->runs_->changes(id, after, deadline);
        auto run = co_await self->runs_->load(id, deadline);
        if (steps && run) {
          for (const auto& [change, step] : *steps)
            bytes += event(change, "step", json::serialize(rollout::step_json(step)));
          auto object = co_await self->described(&*run, deadline);
          object.erase("steps");
          for (const auto& [change, step] : *steps) after = std::max(after, change);
          after = std::max(after, *changed);
          bytes += event(after, "run", json::serialize(object));
          ended = run->ended();
        }
      } else if (changed) {
        auto run = co_await self->runs_->load(id, deadline);
        ended = run && run->ended();
      }
      if (ended) bytes += fmt::format("id: {}\nevent: end\ndata: {{}}\n\n", after);
      if (bytes.empty() && self->context_.clock.steady_now() - last_written > comment_every) bytes = ": still here\n\n";
      if (!bytes.empty()) {
        last_written = self->context_.clock.steady_now();
        if (auto written = co_await writer->write(std::move(bytes)); !written) co_return;
      }
      if (ended) co_return;
      if (auto slept = co_await writer->sleep(poll_every); !slept) break;
    }
    // The node goes. Jitter, so that not all come back at once.
    const auto jitter = static_cast<int>(self->context_.clock.unix_ms() % 500);
    (void)co_await writer->write(fmt::format("retry: {}\n\n", 200 + jitter));
  }

  Context& context_;
  NotesDesk notes_;
  std::unique_ptr<RunStore> runs_;
  std::unique_ptr<ClusterStore> cluster_;
};

}  // namespace

void add_run_routes(http::Router& router, Context& context) {
  auto runs = std::make_shared<Runs>(context);
  const auto add = [&](std::string method, std::string path, Async<http::Response> (Runs::*handler)(http::Request)) {
    router.add(std::move(method), "/rest/afloat/1/runs" + path,
               [runs, handler](http::Request request) { return ((*runs).*handler)(std::move(request)); });
  };
  add("GET", "", &Runs::list);
  add("POST", "", &Runs::create);
  add("GET", "/plan", &Runs::plan);
  add_run_notes_routes(router, context);
  add("GET", "/{id}", &Runs::show);
  add("POST", "/{id}/cancel", &Runs::cancel);
  add("POST", "/{id}/resume", &Runs::resume);
  add("POST", "/{id}/pause", &Runs::pause);
  add("POST", "/{id}/rollback", &Runs::rollback);
  add("GET", "/{id}/events", &Runs::events);
}

}  // namespace afloat::server
