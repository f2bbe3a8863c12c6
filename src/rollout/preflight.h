#pragma once
#include <vector>

#include "rollout/model.h"
#include "version/index.h"

namespace afloat::rollout {

enum class CheckResult { pass, warn, fail, unknown };
std::string_view to_string(CheckResult result);

/// One question of "before you begin", with its answer for a person.
struct Check {
  std::string id;  ///< stable: "hop_allowed"
  std::string title;
  CheckResult result = CheckResult::unknown;
  std::string found{};      ///< what was found
  std::string why;          ///< why it matters
  std::string action{};     ///< what to do; "" when passed
  bool may_settle = false;  ///< waiting a few seconds may turn a fail into a pass
};

/// Which of the notes on the way were read; `recordable`: Options::notes_recorded of the run.
NotesView view_of(const std::vector<version::ReleaseNotes>& notes, const std::vector<version::ReadNotes>& read,
                  bool recordable);

/// The checks whose engine exists. `from` and `to` are versions as text.
std::vector<Check> preflight(const std::string& from, const std::string& to, const Observation& observation);
/// Where the documentation explains it.
std::string link_of(const Check& check);
/// JSON array of objects with the fields above, and the link.
std::string to_json(const std::vector<Check>& checks);

}  // namespace afloat::rollout
