#pragma once
#include <map>
#include <memory>

#include "sim/conductor_process.h"
#include "sim/site.h"

namespace afloat::sim {

/// The plan of one seed: what people ask for, what goes wrong and when, until the calm; then everything is
/// mended and the run has to come to its end.
class Scenario {
 public:
  Scenario(Engine& engine, Coverage& coverage, Bug bug);
  ~Scenario();
  /// Until the end. Throws a Violation.
  void run();
  std::string outcome() const { return outcome_; }
  std::string reason() const { return reason_; }

 private:
  // People (people.cc).
  void people_look();
  void ask_for_run();
  void answer_pause(const rollout::Run& run);
  void command_by_hand();
  void command(cluster::Command command);
  void cancel_run();
  void resume_run();
  void pause_run();
  void roll_back(int node);
  void remove_node(int node, int tries);

  // Faults (faults.cc).
  void plan_faults();
  void one_fault();
  void start_conductor(int number, Micros wait);
  void pause_for(std::function<std::shared_ptr<Actor>()> who, Micros time);
  void cut_for(Endpoint a, Endpoint b, Micros time);
  int any_node();
  Micros some_time();
  void calm_down();

  bool settled() const;
  void look_for_the_end();
  void cancel_in_step();

  Engine& engine_;
  Coverage& coverage_;
  Site site_;
  std::map<int, std::shared_ptr<ConductorProcess>> conductors_;
  std::map<int, int> conductor_lives_;
  std::chrono::milliseconds poll_{50};
  rollout::Options options_;
  bool calm_ = false, over_ = false;
  Micros calm_at_ = 0, settled_since_ = -1, ended_at_ = -1;
  int runs_wanted_ = 2, resumes_left_ = 6, hopeless_ = 0;
  std::optional<rollout::StepKind> cancel_in_;  ///< as soon as this step is open
  std::uint64_t looked_at_ = 0;
  bool conductors_die_ = false, release_is_broken_ = false;
  std::string outcome_, reason_;
};

}  // namespace afloat::sim
