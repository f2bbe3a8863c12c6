#include "cluster/admission.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "cluster/test_site.h"

namespace afloat::cluster {
namespace {

using namespace testing_site;
using Outcome = AdmissionOutcome;

Candidate node(int number, std::string_view version_text) {
  Candidate c;
  c.id = "id" + std::to_string(number);
  c.name = "node" + std::to_string(number);
  c.host = "host" + std::to_string(number);
  c.version = version::parse_version(version_text).value();
  c.build = version::build_number(c.version);
  c.incarnation = "fresh";
  return c;
}

struct Case {
  std::string name;  ///< what happens, and why it must
  Snapshot site;
  Candidate candidate;
  Outcome outcome;
  std::string reason;
  std::vector<std::string> says = {};
};

void expect(const std::vector<Case>& cases) {
  for (const auto& [name, site, candidate, outcome, reason, says] : cases) {
    SCOPED_TRACE(name);
    const auto decision = admit(site, candidate);
    EXPECT_EQ(to_string(decision.outcome), to_string(outcome));
    EXPECT_EQ(decision.reason, reason);
    EXPECT_EQ(decision.message.empty(), outcome != Outcome::refuse && outcome != Outcome::wait) << decision.message;
    for (const auto& part : says)
      EXPECT_NE(decision.message.find(part), std::string::npos) << part << "\nis not in\n" << decision.message;
  }
}

template <class T>
T with(T value, const std::function<void(T&)>& change) {
  change(value);
  return value;
}
Snapshot site_with(Snapshot site, const std::function<void(Snapshot&)>& change) {
  return with<Snapshot>(std::move(site), change);
}
Candidate node_with(Candidate c, const std::function<void(Candidate&)>& change) {
  return with<Candidate>(std::move(c), change);
}

TEST(Admission, FirstNodeAndFormat) {
  expect({
      {"an empty database takes the version of whoever comes first",
       {},
       node(1, "1.0.0"),
       Outcome::bootstrap,
       "first_node"},
      {"a newer format means that nothing in the row can be trusted",
       site_with(stable(), [](auto& s) { s.state->format = known_format + 1; }),
       node(1, "1.0.0"),
       Outcome::refuse,
       "format",
       {"format 2", "formats up to 1", "1.0.0 or newer"}},
      {"the format goes before everything else, a removed id too",
       site_with(stable(), [](auto& s) { s.state->format = known_format + 1, s.removed_ids = {"id1"}; }),
       node(1, "1.0.0"), Outcome::refuse, "format"},
  });
}

TEST(Admission, Identity) {
  const auto live_elsewhere = node_with(node(1, "1.0.0"), [](auto& c) { c.host = "other"; });
  expect({
      {"a removed id never returns: its data folder may be a copy",
       site_with(stable(), [](auto& s) { s.removed_ids = {"id9"}; }),
       node(9, "1.0.0"),
       Outcome::refuse,
       "removed",
       {"id9", "empty data folder"}},
      {"an id that lives on another host: one of the two is a copy",
       stable(),
       live_elsewhere,
       Outcome::wait,
       "id_in_use",
       {"host1", "4.0 more seconds", "node1"}},
      {"it may move once its lease is over", site_with(stable(), [](auto& s) { s.members[0].lease_live = false; }),
       live_elsewhere, Outcome::admit, "stable"},
      {"or once it has closed", site_with(stable(), [](auto& s) { s.members[0].closed = true; }), live_elsewhere,
       Outcome::admit, "stable"},
      {"on the same host the fresh start takes over, lease or not", stable(), node(1, "1.0.0"), Outcome::admit,
       "stable"},
      {"two bundles of one version cannot be told apart by build",
       site_with(stable(), [](auto& s) { s.members[1].digest = "aaaabbbbccccdddd"; }),
       node_with(node(1, "1.0.0"), [](auto& c) { c.digest = "eeeeffff00001111"; }),
       Outcome::refuse,
       "digest_differs",
       {"node2", "aaaabbbbcccc", "eeeeffff0000"}},
      {"a member that is OFFLINE counts for that: it may come back",
       site_with(stable(), [](auto& s) { s.members[1].digest = "aaaa", s.members[1].closed = true; }),
       node_with(node(1, "1.0.0"), [](auto& c) { c.digest = "eeee"; }), Outcome::refuse, "digest_differs"},
      {"its own earlier bundle is replaced, not a neighbour",
       site_with(stable(), [](auto& s) { s.members[0].digest = "aaaa"; }),
       node_with(node(1, "1.0.0"), [](auto& c) { c.digest = "eeee"; }), Outcome::admit, "stable"},
      {"a build folder has no digest and is trusted",
       site_with(stable(), [](auto& s) { s.members[1].digest = "aaaa"; }), node(1, "1.0.0"), Outcome::admit, "stable"},
      {"other versions have other digests",
       site_with(upgrading({old_build, old_build}), [](auto& s) { s.members[1].digest = "aaaa"; }),
       node_with(node(1, "1.1.0"), [](auto& c) { c.digest = "eeee"; }), Outcome::admit, "target"},
  });
}

TEST(Admission, UpgradeModeOff) {
  const auto all_dead = [](auto& s) {
    for (auto& m : s.members) m.lease_live = false;
  };
  expect({
      {"the cluster version joins", stable(), node(4, "1.0.0"), Outcome::admit, "stable"},
      {"a newer one would touch data that nobody prepared",
       stable(),
       node(4, "1.1.0"),
       Outcome::refuse,
       "mode_off",
       {"1.1.0", "upgrade mode is off", "afloat upgrade run --to 1.1.0", "1.0.0"}},
      {"a bugfix release is a newer one as well", stable(), node(4, "1.0.1"), Outcome::refuse, "mode_off"},
      {"an older one cannot read what is there",
       stable(),
       node(4, "0.9.0"),
       Outcome::refuse,
       "mode_off",
       {"finalized at 1.0.0"}},
      {"a pre-release of the cluster version is older than it", stable(), node(4, "1.0.0-rc.1"), Outcome::refuse,
       "mode_off"},
      {"that nobody is alive changes nothing: after a database outage every lease is over",
       site_with(stable(), all_dead), node(4, "1.1.0"), Outcome::refuse, "mode_off"},
      {"nor does an empty roster", stable({}), node(4, "1.1.0"), Outcome::refuse, "mode_off"},
      {"and the cluster version may start alone", site_with(stable(), all_dead), node(1, "1.0.0"), Outcome::admit,
       "stable"},
  });
}

TEST(Admission, UpgradeModeOn) {
  const auto no_target = [](auto& s) {
    s.state->target_build.reset(), s.state->expand_done = false, s.state->max_build = old_build;
  };
  const auto not_expanded = [](auto& s) { s.state->expand_done = false, s.state->max_build = old_build; };
  const auto all_dead = [](auto& s) {
    for (auto& m : s.members) m.lease_live = false;
  };
  const auto mixed = upgrading({old_build, old_build, target_build});
  expect({
      {"the original may come back at any time: a restart in a mixed cluster is safe", mixed, node(1, "1.0.0"),
       Outcome::admit, "original"},
      {"so may the target", mixed, node(1, "1.1.0"), Outcome::admit, "target"},
      {"a node of the target may go back", mixed, node(3, "1.0.0"), Outcome::admit, "original"},
      {"the target waits for expand: its schema is not there", site_with(mixed, not_expanded), node(1, "1.1.0"),
       Outcome::await_expand, "expand_pending"},
      {"the original does not wait for it", site_with(mixed, not_expanded), node(1, "1.0.0"), Outcome::admit,
       "original"},
      {"a third version lies inside the window and is refused all the same",
       mixed,
       node(1, "1.0.1"),
       Outcome::refuse,
       "third_version",
       {"1.0.1", "1.0.0 and 1.1.0"}},
      {"a better target: cancel first, and the message says so",
       mixed,
       node(1, "1.1.1"),
       Outcome::refuse,
       "third_version",
       {"cancel first", "1.1.1"}},
      {"a pre-release of the target is not the target", mixed, node(1, "1.1.0-rc.1"), Outcome::refuse, "third_version"},
      {"after everything died both may start", site_with(mixed, all_dead), node(1, "1.0.0"), Outcome::admit,
       "original"},
      {"after everything died both may start: the target", site_with(mixed, all_dead), node(1, "1.1.0"), Outcome::admit,
       "target"},
      {"without a target the first newer node sets it, and expand comes first", site_with(mixed, no_target),
       node(1, "1.1.0"), Outcome::await_expand, "target_chosen"},
      {"without a target, expand done: admitted as target",
       site_with(mixed, [](auto& s) { s.state->target_build.reset(); }), node(1, "1.1.0"), Outcome::admit_as_target,
       "target_chosen"},
      {"a hop that needs downtime cannot begin by joining",
       site_with(mixed, no_target),
       node(1, "1.3.0"),
       Outcome::refuse,
       "needs_downtime",
       {"1.0.0 -> 1.1.x -> 1.2.x -> 1.3.0"}},
      {"nor a platform release", site_with(mixed, no_target), node(1, "2.0.0"), Outcome::refuse, "needs_downtime"},
      {"nor an older version",
       site_with(mixed, no_target),
       node(1, "0.9.0"),
       Outcome::refuse,
       "downgrade",
       {"older than 1.0.0", "1.0.0 or newer"}},
      {"a cluster version that cannot be read stops here",
       site_with(mixed, [&](auto& s) { no_target(s), s.state->cluster_version = "?"; }), node(1, "1.1.0"),
       Outcome::refuse, "cluster_version_broken"},
  });
}

TEST(Admission, TheTargetIsPinnedBeforeExpand) {
  auto site = upgrading({old_build});
  site.state->expand_done = false;
  EXPECT_FALSE(admit(site, node(1, "1.1.0")).record_target) << "it is set already";
  site.state->target_build.reset();
  EXPECT_TRUE(admit(site, node(1, "1.1.0")).record_target);
  EXPECT_FALSE(admit(site, node(1, "1.0.0")).record_target) << "the original is no target";
  site.state->expand_done = true;
  EXPECT_TRUE(admit(site, node(1, "1.1.0")).record_target);
}

TEST(Admission, Finalizing) {
  const auto raised = [](auto& s) {
    s.state->cluster_version = "1.1.0", s.state->cluster_build = target_build, s.state->gates = 2;
  };
  const auto failed = [](auto& s) { s.tasks = {task("t", TaskKind::contract, TaskState::failed)}; };
  const auto all_dead = [](auto& s) {
    for (auto& m : s.members) m.lease_live = false;
  };
  expect({
      {"the target joins", finalizing(), node(1, "1.1.0"), Outcome::admit, "target"},
      {"the original is shut out from approve on",
       finalizing(),
       node(1, "1.0.0"),
       Outcome::refuse,
       "finalizing",
       {"1.0.0", "1.1.0"}},
      {"others as well", finalizing(), node(1, "1.0.1"), Outcome::refuse, "finalizing"},
      {"after the cluster version rose", site_with(finalizing(), raised), node(1, "1.0.0"), Outcome::refuse,
       "finalizing"},
      {"a failed task does not bring the original back", site_with(finalizing(), failed), node(1, "1.0.0"),
       Outcome::refuse, "finalizing"},
      {"everything died: the target goes on", site_with(finalizing(), all_dead), node(1, "1.1.0"), Outcome::admit,
       "target"},
      {"everything died: the original stays out", site_with(finalizing(), all_dead), node(1, "1.0.0"), Outcome::refuse,
       "finalizing"},
  });
}

TEST(Admission, SingleNodeEdition) {
  const auto single = [](auto& c) { c.clustering_allowed = false; };
  expect({
      {"the first node bootstraps", {}, node_with(node(1, "1.0.0"), single), Outcome::bootstrap, "first_node"},
      {"it restarts", stable({old_build}), node_with(node(1, "1.0.0"), single), Outcome::admit, "stable"},
      {"a second one is refused, naming the first",
       stable({old_build}),
       node_with(node(2, "1.0.0"), single),
       Outcome::refuse,
       "single_node_edition",
       {"node1", "afloat nodes remove node1", "data-center"}},
      {"an OFFLINE first one counts: it can come back",
       site_with(stable({old_build}), [](auto& s) { s.members[0].closed = true; }), node_with(node(2, "1.0.0"), single),
       Outcome::refuse, "single_node_edition"},
      {"it must not expand the schema only to be refused afterwards",
       site_with(upgrading({old_build}), [](auto& s) { s.state->expand_done = false; }),
       node_with(node(2, "1.1.0"), single), Outcome::refuse, "single_node_edition"},
      {"a wrong version is said first: it is the nearer mistake", stable({old_build}),
       node_with(node(2, "1.1.0"), single), Outcome::refuse, "mode_off"},
  });
}

}  // namespace
}  // namespace afloat::cluster
