#include "adapters/http/tls_watch.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>

#include "adapters/asio/runtime.h"

namespace afloat::http {

namespace {

namespace asio = boost::asio;
constexpr auto awaiting = asio::as_tuple(asio::use_awaitable);
constexpr auto warn_every = std::chrono::hours(24);

struct Watch {
  Watch(asio::io_context& context, asio::thread_pool& pool) : signals(context, SIGHUP), timer(context), pool(pool) {}
  asio::signal_set signals;
  asio::steady_timer timer;
  asio::thread_pool& pool;
  std::shared_ptr<TlsIdentity> identity;
  std::function<void(Notice, std::string)> tell;
  std::chrono::milliseconds interval{};
  bool told = false;  ///< SIGHUP came
  SteadyTime warn_at{};
};

void warn(Watch& watch) {
  for (auto& warning : watch.identity->warnings(SystemClock().unix_ms())) watch.tell(Notice::warning, std::move(warning));
  watch.warn_at = std::chrono::steady_clock::now() + warn_every;
}

Async<void> hear(std::shared_ptr<Watch> watch) {
  for (;;) {
    auto [error, number] = co_await watch->signals.async_wait(awaiting);
    if (error) co_return;
    watch->told = true;
    if (watch->identity) watch->timer.cancel();
    else watch->tell(Notice::info, "SIGHUP: there is no certificate to load again");
  }
}

Async<void> look(std::shared_ptr<Watch> watch) {
  watch->tell(Notice::info, fmt::format("serving HTTPS as {}", watch->identity->description()));
  warn(*watch);
  for (;;) {
    if (!watch->told) {
      watch->timer.expires_after(watch->interval);
      co_await watch->timer.async_wait(awaiting);
    }
    const bool told = std::exchange(watch->told, false);
    auto seen = std::make_shared<TlsIdentity::Look>();
    auto done = co_await offload(watch->pool, [seen, told, identity = watch->identity] { *seen = identity->look_again(told); });
    if (!done) continue;
    if (!seen->problem.empty())
      watch->tell(Notice::error, seen->problem + " The earlier certificate stays in service.");
    if (seen->replaced) {
      watch->tell(Notice::info, fmt::format("new connections are served as {}", watch->identity->description()));
      warn(*watch);
    } else if (std::chrono::steady_clock::now() >= watch->warn_at) {
      warn(*watch);
    }
  }
}

}  // namespace

void watch_certificate(asio::io_context& context, asio::thread_pool& pool, std::shared_ptr<TlsIdentity> identity,
                       std::function<void(Notice, std::string)> tell, std::chrono::milliseconds interval) {
  auto watch = std::make_shared<Watch>(context, pool);
  watch->identity = std::move(identity);
  watch->tell = std::move(tell);
  watch->interval = interval;
  spawn(context.get_executor(), "SIGHUP", [watch] { return hear(watch); });
  if (watch->identity) spawn(context.get_executor(), "the certificate's watch", [watch] { return look(watch); });
}

}  // namespace afloat::http
