#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "adapters/haproxy/runtime_api.h"
#include "upgrade/site_helpers.h"

// A node that has just started is slow (cold caches, few connections), so it gets its share of the requests bit
// by bit. HAProxy does that only for servers which it has seen down or in maintenance.
namespace afloat::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

/// The balancer by the same adapter that the conductor uses.
class Balancer {
 public:
  explicit Balancer(SiteFixture& site) : api_(haproxy::make_haproxy(site->haproxy().socket(), "wiki")) {}
  void set(const std::string& node, Traffic traffic) {
    const auto done = run(api_->set(node, traffic, steady_clock::now() + seconds(2)));
    EXPECT_TRUE(done) << done.error().message();
  }
  BackendView view(const std::string& node) {
    const auto seen = run(api_->view(node, steady_clock::now() + seconds(2)));
    EXPECT_TRUE(seen) << seen.error().message();
    return seen.value_or(BackendView{});
  }

 private:
  template <class T>
  Result<T> run(Task<T> task) {
    std::optional<Result<T>> outcome;
    boost::asio::io_context context;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr failure, Result<T> result) {
      if (failure) std::rethrow_exception(failure);
      outcome.emplace(std::move(result));
    });
    context.run();
    return std::move(*outcome);
  }
  std::unique_ptr<LoadBalancer> api_;
};

bool all_up(Balancer& balancer) {
  return std::ranges::all_of(node_names, [&](const char* node) { return balancer.view(node).up(); });
}

/// How many of so many requests through the balancer this node answered.
int share_of(SiteFixture& site, const std::string& node, int requests) {
  int answered = 0;
  for (int i = 0; i < requests; ++i) answered += site.admin().get("/status").headers.get("X-Afloat-Node") == node;
  return answered;
}

/// Everything that HAProxy showed of a node, each different view once, in order.
struct Sight {
  std::string status;
  int weight = 0, full_weight = 0;
  bool operator==(const Sight&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Sight& sight) {
  return out << sight.status << " " << sight.weight << "/" << sight.full_weight;
}
void add(std::vector<Sight>& seen, const BackendView& view) {
  const Sight sight{view.status, view.weight, view.full_weight};
  if (seen.empty() || seen.back() != sight) seen.push_back(sight);
}

/// Weights below the full one, seen one after another while it was UP.
std::vector<int> rising(const std::vector<Sight>& seen) {
  std::vector<int> weights;
  for (const auto& sight : seen)
    if (sight.status.starts_with("UP") && sight.weight < sight.full_weight) weights.push_back(sight.weight);
  return weights;
}

class QuickRestart {
 public:
  explicit QuickRestart(SiteFixture& site) : site_(site), balancer_(site) {}
  Balancer& balancer() { return balancer_; }
  /// A restart that is over before the next health check: the checks are paused meanwhile.
  void restart(const std::string& node, const std::function<void()>& once_drained) {
    balancer_.set(node, Traffic::drain);
    ASSERT_TRUE(eventually(seconds(5), [&] { return balancer_.view(node).sessions == 0; }));
    ASSERT_TRUE(site_->haproxy().command("disable health wiki/" + node));
    once_drained();
    ASSERT_NO_FATAL_FAILURE(replace(site_, node, bundles().from));
    ASSERT_TRUE(site_->haproxy().command("enable health wiki/" + node));
    balancer_.set(node, Traffic::ready);
  }

 private:
  SiteFixture& site_;
  Balancer balancer_;
};

TEST(Balancer, AQuickRestartShowsSlowstartOnlyWhenItPassesThroughMaintenance) {
  SiteFixture site(without_conductor());
  QuickRestart quick(site);
  const std::string node = "node2";
  ASSERT_TRUE(eventually(seconds(5), [&] { return all_up(quick.balancer()); })) << "they have just been started";
  const int full = quick.balancer().view(node).full_weight;
  ASSERT_GE(full, 100) << "too coarse to see slowstart by";

  ASSERT_NO_FATAL_FAILURE(quick.restart(node, [] {}));
  const auto at_once = quick.balancer().view(node);
  EXPECT_EQ(at_once.status, "UP");
  EXPECT_EQ(at_once.weight, full) << "HAProxy shows slowstart after a drain alone now: maint is no longer needed";
  EXPECT_GE(share_of(site, node, 30), 9);

  ASSERT_NO_FATAL_FAILURE(quick.restart(node, [&] {
    quick.balancer().set(node, Traffic::maint);
    EXPECT_EQ(quick.balancer().view(node).status, "MAINT");
    const auto state = site->haproxy().command("show servers state wiki");
    ASSERT_TRUE(state);
    const auto traffic = haproxy::parse_traffic(*state, node);
    EXPECT_TRUE(traffic && *traffic == Traffic::maint) << *state;
  }));
  std::vector<Sight> seen;
  EXPECT_TRUE(eventually(seconds(5), [&] {
    const auto view = quick.balancer().view(node);
    add(seen, view);
    return view.up();
  }));
  const auto weights = rising(seen);
  ASSERT_FALSE(weights.empty()) << testing::PrintToString(seen);
  EXPECT_TRUE(std::ranges::is_sorted(weights)) << testing::PrintToString(weights);
  EXPECT_LE(weights.front(), full / 2) << testing::PrintToString(weights);
  EXPECT_GE(share_of(site, node, 30), 9);
}

TEST(Balancer, AnUpgradeTakesEachNodeThroughDrainMaintenanceAndSlowstartOneAfterAnother) {
  SiteFixture site;
  make_space(site);
  std::map<std::string, std::vector<Sight>> seen;
  std::vector<std::string> out_of_service;  // each view of who is not fully there
  Balancer balancer(site);
  ASSERT_TRUE(eventually(seconds(5), [&] { return all_up(balancer); })) << "they have just been started";
  std::atomic<bool> over = false;
  std::thread watcher([&] {
    while (!over) {
      const auto shown = site->haproxy().command("show stat wiki 4 -1");  // one moment for all of them
      std::string away;
      for (const char* node : node_names) {
        const auto view = haproxy::parse_view(shown.value_or(""), "wiki", node);
        if (!view) {
          ADD_FAILURE() << view.error().message();
          return;
        }
        add(seen[node], *view);
        if (!view->up()) away += (away.empty() ? "" : " ") + std::string(node);
      }
      if (out_of_service.empty() || out_of_service.back() != away) out_of_service.push_back(away);
    }
  });
  auto ran = site->afloat(
      {"upgrade", "run", "--to", bundles().to, "--acknowledge-notes", "--wait", "--no-hold", "--max-load", "0"},
      seconds(60));
  over = true;
  watcher.join();
  ASSERT_TRUE(ran) << ran.error().message();
  ASSERT_EQ(ran->exit_code, 0) << ran->output;
  for (const char* node : node_names) {
    const auto& sights = seen[node];
    SCOPED_TRACE(std::string(node) + ": " + testing::PrintToString(sights));
    const auto first = [&](std::string_view status) {
      return std::ranges::find_if(sights, [&](const Sight& sight) { return sight.status.starts_with(status); });
    };
    const auto drain = first("DRAIN"), maint = first("MAINT");
    EXPECT_NE(drain, sights.end());
    EXPECT_NE(maint, sights.end());
    EXPECT_LT(drain, maint);
    const std::vector<Sight> after(maint, sights.end());
    EXPECT_FALSE(rising(after).empty()) << "no slowstart after maintenance";
    EXPECT_TRUE(std::ranges::is_sorted(rising(after)));
    EXPECT_EQ(sights.back(), (Sight{"UP", sights.front().full_weight, sights.front().full_weight}));
  }
  for (const auto& away : out_of_service)
    EXPECT_EQ(away.find(' '), std::string::npos) << "two nodes were not fully in service at once: " << away;
}

}  // namespace
}  // namespace afloat::test
