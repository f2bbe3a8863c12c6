#include "server/rest/run_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "adapters/files/releases.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "server/auth.h"
#include "store/cluster_store.h"
#include "store/notes_store.h"
#include "version/path.h"

namespace afloat::server {

namespace json = boost::json;

std::vector<std::string> NotesDesk::State::versions() const {
  std::vector<std::string> names;
  for (const auto& each : notes) names.push_back(each.version);
  return names;
}

bool NotesDesk::State::knows_target() const {
  return std::ranges::any_of(known, [&](const version::KnownRelease& each) { return each.release.version == to; });
}

NotesDesk::NotesDesk(Context& context)
    : context_(context),
      store_(store::make_notes_store(context.database)),
      cluster_(store::make_cluster_store(context.database, context.clock, context.timer)) {}

Task<version::Version> NotesDesk::cluster_version(Deadline deadline) {
  auto snapshot = co_await cluster_->observe(deadline);
  if (!snapshot) co_return std::unexpected(snapshot.error());
  if (!snapshot->state) co_return fail(ErrorKind::failed_precondition, "This site has not been started yet.");
  co_return version::parse_version(snapshot->state->cluster_version);
}

Task<NotesDesk::State> NotesDesk::look_from_here(version::Version to, Deadline deadline) {
  auto from = co_await cluster_version(deadline);
  if (!from) co_return std::unexpected(from.error());
  co_return co_await look(std::move(*from), std::move(to), deadline);
}

Task<void> NotesDesk::read_catalogue(State* state) {
  if (context_.config.catalogue.empty()) co_return Result<void>{};
  co_return co_await context_.offload([state, &folder = context_.config.catalogue] {
    auto known = files::known_releases(folder);
    state->catalogue = known.has_value();
    if (known) state->known = std::move(*known);
  });
}

Task<version::Version> NotesDesk::target_of(std::string typed) {
  auto target = version::parse_version(typed);
  if (target) co_return std::move(*target);
  State state;
  if (auto read = co_await read_catalogue(&state); !read) co_return std::unexpected(read.error());
  co_return fail(target.error().kind(),
                 fmt::format("{} {}", target.error().message(), version::nearest_text(state.known, typed)));
}

Task<NotesDesk::State> NotesDesk::look(version::Version from, version::Version to, Deadline deadline) {
  State state;
  state.from = std::move(from);
  state.to = std::move(to);
  if (auto read = co_await read_catalogue(&state); !read) co_return std::unexpected(read.error());
  state.notes = version::notes_between(state.known, state.from, state.to);
  auto read = co_await store_->acknowledged(deadline);
  if (!read) co_return std::unexpected(read.error());
  state.read = std::move(*read);
  co_return state;
}

Task<NotesDesk::State> NotesDesk::acknowledge(State state, std::string actor, Deadline deadline) {
  std::vector<version::ReadNotes> fresh;
  for (const auto& each : state.notes)
    if (!version::find_read(state.read, each)) fresh.push_back({each.version, each.digest, actor, 0});
  if (fresh.empty()) co_return state;
  auto done = co_await store_->acknowledge(actor, std::move(fresh), deadline);
  if (!done) co_return std::unexpected(done.error());
  auto read = co_await store_->acknowledged(deadline);
  if (!read) co_return std::unexpected(read.error());
  state.read = std::move(*read);
  co_return state;
}

namespace {

json::object notes_json(const NotesDesk::State& state) {
  json::array notes, releases;
  for (const auto& each : state.known) releases.push_back(json::string(version::to_string(each.release.version)));
  bool all = true;
  for (const auto& each : state.notes) {
    const auto release = std::ranges::find_if(state.known, [&](const version::KnownRelease& known) {
      return version::to_string(known.release.version) == each.version;
    });
    json::value read = nullptr;
    if (const auto* by = version::find_read(state.read, each))
      read = json::object{{"by", by->actor}, {"at", iso_time(by->at_ms)}};
    else
      all = false;
    notes.push_back(json::object{{"version", each.version},
                                 {"kind", std::string(version::to_string(version::kind_of(release->release.version)))},
                                 {"lts", release->release.lts},
                                 {"fetched", release->release.fetched},
                                 {"date", release->date},
                                 {"text", each.text},
                                 {"acknowledged", std::move(read)}});
  }
  return {{"from", version::to_string(state.from)},
          {"to", version::to_string(state.to)},
          {"acknowledged", all},
          {"releases", std::move(releases)},
          {"notes", std::move(notes)}};
}

class RunNotes : public std::enable_shared_from_this<RunNotes> {
 public:
  explicit RunNotes(Context& context) : context_(context), desk_(context) {}

  Async<http::Response> show(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return http::error_response(identity.error());
    const auto to = request.query_value("to");
    if (!to) co_return http::error_response(Error(ErrorKind::invalid_argument, "Say the target: ?to=VERSION."));
    auto state = co_await state_of(*to, request.deadline);
    if (!state) co_return http::error_response(state.error());
    co_return http::json_response(200, json::serialize(notes_json(*state)));
  }

  Async<http::Response> acknowledge(http::Request request) {
    auto identity = co_await require_administrator_for_change(context_.auth, request);
    if (!identity) co_return http::error_response(identity.error());
    auto body = parse_json_object(request.body, "the request body");
    if (!body) co_return http::error_response(body.error());
    auto to = required_string(*body, "to");
    if (!to) co_return http::error_response(to.error());
    auto state = co_await state_of(*to, request.deadline);
    if (!state) co_return http::error_response(state.error());
    auto after = co_await desk_.acknowledge(std::move(*state), identity->user_name, request.deadline);
    if (!after) co_return http::error_response(after.error());
    co_return http::json_response(200, json::serialize(notes_json(*after)));
  }

  Async<http::Response> path(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return http::error_response(identity.error());
    const auto product = version::parse_product(request.query_or("product", "afloat"));
    if (!product) co_return http::error_response(product.error());
    const auto to = version::parse_typed_version(request.query_or("to", ""));
    if (!to) co_return http::error_response(to.error());
    const bool own = *product == version::Product::afloat;
    const auto given = request.query_value("from");
    if (!given && !own)
      co_return http::error_response(Error(ErrorKind::invalid_argument, "Say which version it runs: ?from=VERSION."));
    auto from = given ? version::parse_typed_version(*given) : co_await desk_.cluster_version(request.deadline);
    if (!from) co_return http::error_response(from.error());
    std::optional<std::vector<version::Release>> catalogue;
    if (own) {
      auto state = co_await desk_.look(*from, *to, request.deadline);
      if (!state) co_return http::error_response(state.error());
      if (state->catalogue) catalogue = version::releases_of(state->known);
    }
    const auto path = version::find_path(version::policy_of(*product), *from, *to, catalogue);
    co_return http::json_response(200, json::serialize(version::path_json(path)));
  }

  Async<http::Response> policy(http::Request request) {
    auto identity = co_await context_.auth.require_administrator(request);
    if (!identity) co_return http::error_response(identity.error());
    const auto product = version::parse_product(request.query_or("product", "afloat"));
    if (!product) co_return http::error_response(product.error());
    co_return http::json_response(200, json::serialize(version::policy_json(version::policy_of(*product))));
  }

 private:
  Task<NotesDesk::State> state_of(std::string to, Deadline deadline) {
    auto target = version::parse_typed_version(to);
    if (!target) co_return std::unexpected(target.error());
    auto state = co_await desk_.look_from_here(std::move(*target), deadline);
    if (state && !state->catalogue)
      co_return fail(ErrorKind::failed_precondition,
                     "This node's site.toml names no catalogue that it can read, so it knows no release notes. Read "
                     "them where the releases are published.");
    co_return state;
  }

  Context& context_;
  NotesDesk desk_;
};

}  // namespace

void add_run_notes_routes(http::Router& router, Context& context) {
  auto notes = std::make_shared<RunNotes>(context);
  const auto add = [&](std::string method, std::string path,
                       Async<http::Response> (RunNotes::*handler)(http::Request)) {
    router.add(std::move(method), "/rest/afloat/1/runs" + path,
               [notes, handler](http::Request request) { return ((*notes).*handler)(std::move(request)); });
  };
  add("GET", "/notes", &RunNotes::show);
  add("POST", "/notes/acknowledge", &RunNotes::acknowledge);
  add("GET", "/path", &RunNotes::path);
  add("GET", "/policy", &RunNotes::policy);
}

}  // namespace afloat::server
