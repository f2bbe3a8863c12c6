#include "rollout/canary.h"

#include <gtest/gtest.h>

#include <functional>

namespace afloat::rollout {
namespace {

constexpr std::int64_t soak_ms = 5'000;

/// Three nodes under even traffic; the new one is made worse by a case.
struct Traffic {
  std::map<std::string, NodeSample> nodes{{"new", {}}, {"old1", {}}, {"old2", {}}};
  Canary canary{"new", 0, soak_ms};
  std::int64_t now = 0;

  void serve(const std::string& name, int requests, int errors, double seconds) {
    auto& node = nodes.at(name);
    node.at_ms = now;
    node.requests += requests;
    node.errors += errors;
    for (const double limit : {0.01, 0.025, 0.05, 0.1, 0.25, 1.0}) {
      auto& count = node.within_seconds[limit];
      if (seconds <= limit) count += requests;
    }
  }
  /// One more second; `worse` changes the sample of the new node.
  CanaryView second(int requests, int errors, double slow, const std::function<void(NodeSample&)>& worse = {}) {
    now += 1'000;
    // One in fifty takes longer than the rest, everywhere: that is what a p99 shows.
    for (const auto* old : {"old1", "old2"}) {
      serve(old, requests - requests / 50, 0, 0.008);
      serve(old, requests / 50, 0, 0.02);
    }
    serve("new", requests - requests / 50, errors, 0.008);
    serve("new", requests / 50, 0, slow);
    if (worse) worse(nodes.at("new"));
    canary.add(nodes);
    return canary.view(now);
  }
};

struct Case {
  std::string_view name;
  int requests, errors;
  double slow;
  Verdict expected;
};

TEST(Canary, ANodeIsJudgedBesideTheOthers) {
  constexpr Case cases[] = {
      {"as good as the others", 200, 0, 0.02, Verdict::good},
      {"slower, yet by less than twice", 200, 0, 0.024, Verdict::good},
      {"more than twice as slow, yet by less than 50 ms", 200, 0, 0.045, Verdict::good},
      {"slow", 200, 0, 0.2, Verdict::bad},
      {"one request in twenty fails", 200, 10, 0.02, Verdict::bad},
      {"a single failure in each window is more than chance where nobody else has any", 200, 1, 0.02, Verdict::bad},
      {"too few requests to tell", 2, 0, 0.02, Verdict::inconclusive},
      {"no request at all", 0, 0, 0.02, Verdict::inconclusive},
  };
  for (const auto& [name, requests, errors, slow, expected] : cases) {
    SCOPED_TRACE(name);
    Traffic traffic;
    CanaryView view;
    for (int i = 0; i < 70 && view.verdict == Verdict::waiting; ++i) view = traffic.second(requests, errors, slow);
    EXPECT_EQ(view.verdict, expected) << view.reason;
    EXPECT_FALSE(view.reason.empty());
    if (expected == Verdict::good) EXPECT_GE(traffic.now, soak_ms);
  }
}

TEST(Canary, WhatAllNodesFeelIsNotHeldAgainstTheNewOne) {
  Traffic traffic;
  CanaryView view;
  for (int i = 0; i < 10 && view.verdict == Verdict::waiting; ++i) {
    traffic.serve("old1", 0, 12, 0);  // the database is away for a moment
    traffic.serve("old2", 0, 9, 0);
    view = traffic.second(200, 10, 0.02);
  }
  EXPECT_EQ(view.verdict, Verdict::good) << view.reason;
}

TEST(Canary, OneBadWindowIsChanceAndTwoInARowAreNot) {
  Traffic traffic;
  CanaryView view;
  for (int i = 0; i < 6; ++i) {
    view = traffic.second(400, i == 2 ? 5 : 0, 0.02);
    EXPECT_NE(view.verdict, Verdict::bad) << i;
  }
  EXPECT_EQ(view.verdict, Verdict::good) << view.reason;
  view = traffic.second(400, 5, 0.02);
  EXPECT_EQ(view.verdict, Verdict::waiting) << "after the soak, too, a bad window asks for a second one";
  view = traffic.second(400, 5, 0.02);
  EXPECT_EQ(view.verdict, Verdict::bad) << view.reason;
}

TEST(Canary, PlainErrorsAreNotWaitedForUntilTheWindowIsFull) {
  Traffic plain;
  CanaryView view;
  for (int i = 0; i < 4 && view.verdict != Verdict::bad; ++i) view = plain.second(65, 3, 0.02);
  EXPECT_EQ(view.verdict, Verdict::bad) << view.reason;
  EXPECT_NE(view.reason.find("9 of 195 requests failed, 0 of 390"), std::string::npos) << view.reason;

  Traffic at_once;  // a moment without the database
  at_once.second(50, 0, 0.02);
  at_once.second(50, 12, 0.02);
  for (int i = 0; i < 2; ++i) view = at_once.second(50, 0, 0.02);
  EXPECT_EQ(view.verdict, Verdict::waiting) << view.reason;

  Traffic everywhere;
  for (int i = 0; i < 4; ++i) {
    everywhere.serve("old1", 0, 3, 0);
    view = everywhere.second(50, 3, 0.02);
  }
  EXPECT_EQ(view.verdict, Verdict::waiting) << view.reason;
}

TEST(Canary, SomeThingsAreBadAtOnce) {
  Traffic wrong;
  wrong.second(200, 0, 0.02);
  wrong.canary.add(KnownAnswers{.asked = 3, .wrong = 1, .example = "page 7 differs"});
  EXPECT_EQ(wrong.canary.view(wrong.now).verdict, Verdict::bad);
  EXPECT_NE(wrong.canary.view(wrong.now).reason.find("page 7 differs"), std::string::npos);

  Traffic restarted;
  restarted.canary.seen_process("100-1");
  restarted.canary.seen_process("");  // its agent did not answer
  restarted.second(200, 0, 0.02);
  EXPECT_EQ(restarted.canary.view(restarted.now).verdict, Verdict::waiting);
  restarted.canary.seen_process("101-9");
  EXPECT_EQ(restarted.canary.view(restarted.now).verdict, Verdict::bad);

  Traffic leaking;
  CanaryView view;
  for (std::int64_t i = 0; i < 8 && view.verdict == Verdict::waiting; ++i)
    view = leaking.second(200, 0, 0.02, [&](NodeSample& node) { node.memory_bytes = 60'000'000 + i * 90'000'000; });
  EXPECT_EQ(view.verdict, Verdict::bad) << view.reason;

  // The first reads, before users came, have filled 300 MB already; from there on it need not double.
  Canary tried("node1", 0, 10'000, 40'000'000);
  NodeSample sample;
  sample.memory_bytes = 340'000'000;
  tried.add({{"node1", sample}, {"node2", {}}});
  EXPECT_EQ(tried.view(100).verdict, Verdict::bad) << tried.view(100).reason;
  EXPECT_EQ(tried.view(100).reason, "its memory grew from 40 to 340 MB");

  Traffic handles;
  view = handles.second(200, 0, 0.02, [](NodeSample& node) {
    node.descriptors = 800;
    node.descriptor_limit = 1024;
  });
  EXPECT_EQ(view.verdict, Verdict::bad) << view.reason;
}

TEST(Canary, OnceTheSoakIsOverItSaysWhatItStillWaitsForAndForHowLong) {
  Traffic traffic;
  CanaryView view;
  for (int second = 0; second < 4; ++second) view = traffic.second(20, 0, 0.02);
  EXPECT_TRUE(view.reason.starts_with("4 of 5 s, ")) << view.reason;
  for (int second = 4; second < 8; ++second) view = traffic.second(20, 0, 0.02);
  EXPECT_EQ(view.verdict, Verdict::waiting);
  EXPECT_TRUE(view.reason.starts_with("its 5 s are over")) << view.reason;
  EXPECT_TRUE(view.reason.contains("57 s more at the most for enough requests")) << view.reason;
}

TEST(Canary, SilenceIsNeverGood) {
  Traffic traffic;
  for (int i = 0; i < 3; ++i) traffic.second(400, 0, 0.02);
  EXPECT_EQ(traffic.canary.view(traffic.now + Canary::silence_ms + 1).verdict, Verdict::inconclusive);

  Traffic alone;  // the figures of the others can't be read
  for (int i = 0; i < 12; ++i) {
    alone.now += 1'000;
    alone.serve("new", 400, 0, 0.008);
    alone.canary.add({{"new", alone.nodes.at("new")}});
  }
  EXPECT_EQ(alone.canary.view(alone.now).verdict, Verdict::inconclusive);
}

TEST(Canary, TwentyHealthyRollsRaiseNoAlarm) {
  // Noise as a real site has it: bursts, now and then a slow request, on whichever node.
  std::uint64_t seed = 20'261'125;
  const auto chance = [&seed](int of) {
    seed = seed * 6'364'136'223'846'793'005ULL + 1'442'695'040'888'963'407ULL;
    return static_cast<int>((seed >> 33) % static_cast<std::uint64_t>(of));
  };
  for (int roll = 0; roll < 20; ++roll) {
    Traffic traffic;
    CanaryView view;
    while (view.verdict == Verdict::waiting && traffic.now < 60'000) {
      traffic.now += 250;
      for (auto& [name, node] : traffic.nodes) {
        for (int i = 20 + chance(30); i > 0; --i)
          traffic.serve(name, 1, 0, chance(100) == 0 ? 0.06 : chance(20) == 0 ? 0.03 : 0.006);
      }
      traffic.canary.add(traffic.nodes);
      view = traffic.canary.view(traffic.now);
    }
    EXPECT_EQ(view.verdict, Verdict::good) << "roll " << roll << ": " << view.reason;
  }
}

TEST(Canary, APercentileIsReadFromBuckets) {
  NodeSample before, after;
  after.requests = 1'000;
  after.within_seconds = {{0.01, 900}, {0.02, 980}, {0.1, 1'000}};
  // The 990th lies half-way between 20 and 100 ms.
  EXPECT_NEAR(p99_between(before, after), 0.06, 1e-9);
  EXPECT_EQ(p99_between(after, after), 0);
}

}  // namespace
}  // namespace afloat::rollout
