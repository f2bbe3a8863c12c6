#pragma once
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/finalizer.h"
#include "support/protocol.h"

/// Upgrades of a real schema from release to release, without processes.
namespace afloat::test {

/// The upgrade of a site of one node, by its own finalizer.
class Hop {
 public:
  Hop(const Database& database, std::span<const store::UpgradeTask> tasks, int from, int to, std::string version)
      : site(database),
        node(site, to, tasks),
        tasks_(tasks),
        finalizer_(*node.database, *node.cluster, node.clock, node.timer, to, std::move(version), "n1", tasks),
        from_(from),
        to_(to) {}

  void start() {
    auto started = node.run(node.cluster->apply(cluster::Command::start, "test", to_, std::nullopt, soon()));
    ASSERT_TRUE(started) << started.error().message();
    store::TaskRunner runner(*node.database, node.clock, node.timer, to_, "n1", tasks_);
    auto expanded = node.run(runner.expand([](std::string) {}, soon()));
    ASSERT_TRUE(expanded) << expanded.error().message();
    static int starts = 1;
    incarnation_ = "1-" + std::to_string(++starts);
    auto admitted = node.run(node.cluster->admit(candidate("n1", to_, incarnation_), soon()));
    ASSERT_TRUE(admitted) << admitted.error().message();
    ASSERT_TRUE(node.run(node.cluster->set_state("id-n1", incarnation_, cluster::NodeState::ACTIVE, false, soon())));
  }
  void cancel() {
    auto back = node.run(node.cluster->admit(candidate("n1", from_, incarnation_ + "-back"), soon()));
    ASSERT_TRUE(back) << back.error().message();
    auto cancelled =
        node.run(node.cluster->apply(cluster::Command::cancel, "test", std::nullopt, std::nullopt, soon()));
    ASSERT_TRUE(cancelled) << cancelled.error().message();
  }
  /// Until every row has the new form. What an earlier pass recorded as caught up is looked at once more.
  void backfill(const std::string& remaining) {
    site.query("update upgrade_task set total = 0 where kind = 'backfill' and state = 'recheck' returning 1");
    ASSERT_TRUE(eventually(std::chrono::seconds(10), [&] {
      step();
      return testing::Test::HasFatalFailure() ||
             (site.query(remaining) == "0" &&
              site.query("select count(*) from upgrade_task where kind = 'backfill' and state = 'running'") == "0");
    }));
  }
  void finish() {
    auto approved =
        node.run(node.cluster->apply(cluster::Command::approve, "test", std::nullopt, std::nullopt, soon()));
    ASSERT_TRUE(approved) << approved.error().message();
    ASSERT_TRUE(eventually(std::chrono::seconds(15), [&] {
      step();
      return testing::Test::HasFatalFailure() || mode_ == cluster::Mode::off;
    })) << site.query("select string_agg(concat_ws(' ', id, state, error), ', ') from upgrade_task");
  }

  const Database& site;
  Node node;

 private:
  /// As the node does it, heartbeat included.
  void step() {
    Heartbeat beat;
    beat.id = "id-n1";
    beat.incarnation = incarnation_;
    beat.state = cluster::NodeState::ACTIVE;
    beat.gates_in_use = gates_;
    auto lease = node.run(node.cluster->renew(beat, soon()));
    ASSERT_TRUE(lease && lease->held);
    gates_ = lease->state.gates;
    auto done = node.run(finalizer_.step(lease->state, soon()));
    ASSERT_TRUE(done) << done.error().message();
    mode_ = lease->state.mode;
  }

  std::span<const store::UpgradeTask> tasks_;
  server::Finalizer finalizer_;
  const int from_, to_;
  std::string incarnation_ = "1-1";
  int gates_ = 1;
  cluster::Mode mode_ = cluster::Mode::on;
};

/// Those of a release and of all before it.
inline std::vector<store::UpgradeTask> tasks_up_to(std::string_view release) {
  std::vector<store::UpgradeTask> tasks;
  for (const auto& task : store::all_tasks())
    if (task.declaration.version <= release) tasks.push_back(task);
  return tasks;
}

/// A fresh site of that release, with a user and a space, key T.
inline void make_site(const std::string& connection, int build, std::span<const store::UpgradeTask> tasks) {
  Node first(connection, build, tasks);
  if (auto admitted = first.run(first.cluster->admit(candidate("n1", build), soon())); !admitted)
    throw std::runtime_error(admitted.error().message());
  if (!Session(connection)
           .run("insert into app_user (name, password_hash) values ('admin', '');"
                "insert into space (key, name) values ('T', 'Test')")
           .empty())
    throw std::runtime_error("the site got no space");
}

}  // namespace afloat::test
