#include "server/shard.h"

#include <pthread.h>

#include <boost/asio/post.hpp>

#include "faults/faults.h"
#include "server/import.h"
#include "server/log.h"
#include "server/pages/pages.h"
#include "server/rest/events.h"
#include "server/rest/node_routes.h"
#include "server/rest/routes.h"
#include "server/rest/runs.h"
#include "store/cluster_store.h"

namespace afloat::server {

Shard::Shard(NodeParts parts) : parts_(std::move(parts)) {}

Shard::~Shard() { stop_and_join(); }

Result<std::unique_ptr<Shard>> Shard::make(NodeParts parts) {
  std::unique_ptr<Shard> shard(new Shard(std::move(parts)));
  Shard* self = shard.get();
  const NodeParts& p = self->parts_;
  self->database_ = p.make_database(self->io_);
  self->changes_ = std::make_unique<store::ChangeLog>(*self->database_);
  self->changes_->subscribe([self](std::string_view kind, std::string_view key) {
    if (kind == "*")
      self->cache_.clear();
    else
      self->cache_.invalidate(kind, key);
  });
  auto assets = Assets::publish(p.web + "/assets", p.config.shared_home);
  if (!assets) return std::unexpected(assets.error());
  self->assets_ = std::move(*assets);
  auto templates = Templates::load(p.web + "/templates", self->assets_->urls());
  if (!templates) return std::unexpected(templates.error());
  self->templates_ = std::move(*templates);
  auto offload_here = [pool = &p.pool](std::move_only_function<void()> work) {
    return offload(*pool, std::move(work));
  };
  auto refresh = [self](Deadline deadline) { return refresh_gates(*self->context_, deadline); };
  self->auth_ =
      make_auth({*self->database_, self->gates_, *self->changes_, p.clock, p.auth_shared, refresh,
                 [pool = &p.hashing](std::move_only_function<void()> work) { return offload(*pool, std::move(work)); },
                 p.site_key, p.config.base_url.starts_with("https:")});
  self->long_tasks_ =
      make_long_tasks({*self->database_, self->gates_, p.clock, self->io_.get_executor(), p.info.name, p.tasks_running,
                       [control = &p.control] { return control->state() != cluster::NodeState::ACTIVE; }, refresh});
  self->context_.reset(new Context{p.config, p.info, p.clock, self->timer_, *self->database_, self->gates_,
                                   *self->changes_, p.blobs, *self->auth_, self->cache_, p.metrics, *self->templates_,
                                   *self->long_tasks_, offload_here});
  Context& context = *self->context_;
  add_status_routes(self->router_, context, p.control);
  if (p.clustered) {
    self->cluster_ = store::make_cluster_store(*self->database_, p.clock, self->timer_);
    add_zdu_routes(self->router_, context, *self->cluster_);
    add_cluster_routes(self->router_, context, *self->cluster_, p.control);
    add_run_routes(self->router_, context);
    add_check_routes(self->router_, context);
    add_support_routes(self->router_, context);
    add_event_routes(self->router_, context);
    add_host_routes(self->router_, context);
    add_setting_routes(self->router_, context);
    add_series_routes(self->router_, context);
    add_by_hand_routes(self->router_, context);
    add_admin_routes(self->router_, context);
  } else {
    add_trial_routes(self->router_, context);
  }
  add_content_routes(self->router_, context);
  add_attachment_routes(self->router_, context);
  add_space_routes(self->router_, context);
  add_search_routes(self->router_, context);
  add_user_routes(self->router_, context);
  add_account_routes(self->router_, context);
  add_longtask_routes(self->router_, context);
  add_import_routes(self->router_, context);
  add_page_routes(self->router_, context);
  add_asset_routes(self->router_, *self->assets_);
  http::ServerLimits limits;
  limits.body_bytes = static_cast<std::size_t>(p.config.max_body_bytes);
  limits.header_timeout = std::chrono::milliseconds(p.config.header_timeout_ms);
  limits.request_timeout = std::chrono::milliseconds(p.config.request_timeout_ms);
  limits.idle_timeout = std::chrono::milliseconds(p.config.idle_timeout_ms);
  limits.on_accept_error = [self](std::string message) {
    log(Level::error, "accept_failed", {{"message", message}});
    self->parts_.metrics.findings.add("handles", "handles", std::move(message), self->parts_.clock.unix_ms());
  };
  self->server_ =
      std::make_unique<http::Server>(self->io_, limits, [self](http::Request r) { return self->handle(std::move(r)); });
  return shard;
}

Result<void> Shard::listen(const std::string& address, int port, std::shared_ptr<http::TlsIdentity> tls) {
  return server_->listen_tcp(address, port, std::move(tls));
}

void Shard::start() {
  thread_ = std::thread([this] { io_.run(); });
  started_ = true;
}

void Shard::stop_and_join() {
  if (!thread_.joinable()) return;
  boost::asio::post(io_, [this] { server_->close_idle(); });
  work_.reset();
  io_.stop();
  thread_.join();
}

void Shard::post(std::function<void()> work) { boost::asio::post(io_, std::move(work)); }

std::chrono::nanoseconds Shard::cpu_time() const {
  if (!started_) return {};
  clockid_t clock{};
  timespec time{};
  if (pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) != 0 ||
      clock_gettime(clock, &time) != 0)
    return {};
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Task<void> Shard::warm_up(Deadline deadline) {
  if (auto gates = co_await refresh_gates(*context_, deadline); !gates) co_return gates;
  if (auto polled = co_await changes_->fresh(deadline); !polled) co_return polled;
  // The write pool's first connection, so that the first save does not pay for it.
  auto write = co_await database_->write(gates_.current(), {{"select 1", {}}}, {}, deadline);
  if (!write && write.error().code() != "AF001") co_return std::unexpected(write.error());
  http::Request request;
  request.method = "GET";
  request.target = request.path = "/login";
  request.arrived = parts_.clock.steady_now();
  request.deadline = deadline;
  const auto page = co_await router_.route(std::move(request));
  if (page.status != 200)
    co_return fail(ErrorKind::internal, "This node could not render its own sign-in page: " + *page.body);
  co_return Result<void>{};
}

// The client was told in general words; here is the reason. While a database is away each request has the same one,
// so that one a second is enough.
void Shard::note_fault(const std::string& target, const http::Response& response) {
  const auto now = parts_.clock.steady_now();
  if (now < next_fault_) return;
  next_fault_ = now + std::chrono::seconds(1);
  log(response.status == 503 ? Level::warning : Level::error, "request_failed",
      {{"target", target}, {"status", std::to_string(response.status)}, {"message", response.fault}});
}

Async<http::Response> Shard::handle(http::Request request) {
  using cluster::NodeState;
  const auto arrived = request.arrived;
  const bool open = request.path == "/status" || request.path == "/metrics" || request.path.starts_with("/health/");
  // A balancer that was reloaded takes every node for one that serves. What it sends to one that is about to is kept
  // for a moment, not refused.
  const auto patience = std::min<SteadyTime>(request.deadline, parts_.clock.steady_now() + std::chrono::seconds(3));
  while (!open && parts_.control.state() == NodeState::STARTING && parts_.clock.steady_now() < patience)
    (void)co_await timer_.sleep_until(parts_.clock.steady_now() + std::chrono::milliseconds(5));
  const NodeState state = parts_.control.state();
  http::Response response;
  // A node whose lease may have run out answers nothing: it could show what others have long changed.
  const bool may_answer =
      (state == NodeState::ACTIVE || state == NodeState::DRAINING || state == NodeState::TERMINATING) &&
      parts_.control.lease_valid();
  if (!open && !may_answer) {
    response = http::error_response(
        Error(ErrorKind::unavailable, "This node does not take requests at the moment; try again."));
    response.close = true;
  } else {
    auto use = gates_.use();
    const std::string target = request.method + " " + request.target;
    const auto fault = faults::request_arrived(request.method, request.path);
    if (fault.delay.count() > 0) (void)co_await timer_.sleep_until(parts_.clock.steady_now() + fault.delay);
    if (fault.fails) {
      response = http::error_response(Error(ErrorKind::internal, "the fault profile lets this request fail"));
    } else {
      const auto path = request.path;
      response = co_await router_.route(std::move(request));
      if (auto other = faults::other_answer(path, *response.body))
        response.body = std::make_shared<const std::string>(*std::move(other));
    }
    log(Level::debug, "request", {{"target", target}, {"status", std::to_string(response.status)}});
    if (!response.fault.empty()) note_fault(target, response);
  }
  if (response.drop_connection) {
    parts_.metrics.count_unknown();
    log(Level::warning, "unknown_outcome", {{"message", *response.body}});
  }
  response.headers.set("X-Afloat-Node", parts_.info.name);
  response.headers.set("X-Content-Type-Options", "nosniff");
  parts_.metrics.count(
      open ? Metrics::From::probes : Metrics::From::clients, response.status,
      std::chrono::duration_cast<std::chrono::microseconds>(parts_.clock.steady_now() - arrived).count());
  co_return response;
}

}  // namespace afloat::server
