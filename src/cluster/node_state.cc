#include "cluster/node_state.h"

#include <fmt/format.h>

namespace afloat::cluster {

Result<void> check_node_change(NodeState from, NodeState to) {
  if (node_may_change(from, to)) return {};
  std::string ways;
  for (const auto& transition : node_transitions)
    if (transition.from == from) ways += fmt::format("{}, ", to_string(transition.to));
  if (from != NodeState::ERROR) ways += "ERROR, ";
  ways.resize(ways.size() - 2);
  return fail(ErrorKind::failed_precondition,
              fmt::format("A node that is {} cannot become {}; from there it can go to {}.", to_string(from),
                          to_string(to), ways));
}

}  // namespace afloat::cluster
