#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "base/text.h"
#include "cluster/gate.h"
#include "cluster/model.h"
#include "cluster/phase.h"
#include "rollout/model.h"
#include "rollout/notices.h"

/// Names that are written into the database outlive the release that wrote them, and in an upgrade the release before
/// reads what this one writes. tests/formats/V.txt lists what each release brought: a name that is gone or changed, and
/// one that was added without a word on what older releases make of it, fails here.
namespace afloat {
namespace {

namespace fs = std::filesystem;

template <class Enum>
void add(std::set<std::string>& names, const char* what, int count) {
  for (int i = 0; i < count; ++i) names.insert(fmt::format("{} {}", what, to_string(static_cast<Enum>(i))));
}

/// All that this tree writes.
std::set<std::string> written() {
  using namespace cluster;
  using namespace rollout;
  std::set<std::string> names;
  add<RunState>(names, "run_state", static_cast<int>(RunState::failed) + 1);
  add<StepKind>(names, "step_kind", static_cast<int>(StepKind::report) + 1);
  add<StepState>(names, "step_state", static_cast<int>(StepState::interrupted) + 1);
  add<NodeState>(names, "node_state", static_cast<int>(NodeState::UPGRADE_TASKS_FAILED) + 1);
  add<Phase>(names, "phase", static_cast<int>(Phase::UPGRADE_TASKS_FAILED) + 1);
  add<Mode>(names, "mode", 2);
  add<TaskKind>(names, "task_kind", static_cast<int>(TaskKind::contract) + 1);
  add<TaskState>(names, "task_state", static_cast<int>(TaskState::recheck) + 1);
  add<NoticeKind>(names, "notice", static_cast<int>(NoticeKind::finalized) + 1);
  for (const auto& gate : gates()) names.insert(fmt::format("gate {}", gate.name));
  return names;
}

/// name -> the file that brought it.
std::map<std::string, std::string> listed() {
  std::map<std::string, std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(AFLOAT_SOURCE_DIR) / "tests/formats")) {
    if (entry.path().extension() != ".txt") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      const std::string name(trim(line));
      if (name.empty() || name.starts_with('#')) continue;
      const auto [known, added] = names.emplace(name, entry.path().filename().string());
      EXPECT_TRUE(added) << name << " is in " << known->second << " and in " << entry.path().filename();
    }
  }
  return names;
}

TEST(Formats, EveryNameThatAReleaseWroteIsStillWrittenAndNoneIsNewWithoutAWord) {
  const auto now = written();
  const auto before = listed();
  EXPECT_GT(before.size(), 50U);
  for (const auto& [name, file] : before)
    EXPECT_TRUE(now.contains(name)) << '"' << name << "\" of " << file
                                    << " is gone: databases still have it. Keep it, and what it means.";
  for (const auto& name : now)
    EXPECT_TRUE(before.contains(name))
        << '"' << name
        << "\" is new: add it to tests/formats of the release that brings it, with a line "
           "on what the releases before make of it.";
}

TEST(Formats, EachNameReadsBackAndOneOfALaterReleaseIsTakenTheCautiousWay) {
  using namespace cluster;
  using namespace rollout;
  for (const auto& [line, file] : listed()) {
    const auto space = line.find(' ');
    const auto what = line.substr(0, space), name = line.substr(space + 1);
    if (what == "run_state") EXPECT_EQ(to_string(run_state_from(name)), name);
    if (what == "step_state") EXPECT_EQ(to_string(step_state_from(name)), name);
    if (what == "step_kind") EXPECT_TRUE(step_kind_from(name)) << name;
    if (what == "node_state") EXPECT_EQ(to_string(node_state_from(name)), name);
    if (what == "mode") EXPECT_EQ(to_string(mode_from(name)), name);
    if (what == "task_kind") EXPECT_TRUE(task_kind_from(name)) << name;
    if (what == "task_state") EXPECT_EQ(to_string(task_state_from(name)), name);
    if (what == "gate") EXPECT_NE(find_gate(name), nullptr) << name;
  }
  EXPECT_EQ(run_state_from("of_later"), RunState::paused);
  EXPECT_EQ(step_state_from("of_later"), StepState::interrupted);
  EXPECT_FALSE(step_kind_from("of_later"));
  EXPECT_EQ(node_state_from("of_later"), NodeState::unknown);
  EXPECT_EQ(mode_from("of_later"), Mode::off);
  EXPECT_FALSE(task_kind_from("of_later"));
  EXPECT_EQ(task_state_from("of_later"), TaskState::failed);
}

}  // namespace
}  // namespace afloat
