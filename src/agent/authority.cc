#include "agent/authority.h"

#include <fmt/format.h>

#include <boost/json.hpp>

namespace afloat::agent {

namespace json = boost::json;

Result<void> check_lead(const LeaderLease& known, const LeaderLease& lead) {
  if (lead.holder.empty() || lead.epoch <= 0) {
    return fail(ErrorKind::invalid_argument, "A command needs the leader's epoch (above 0) and holder.");
  }
  if (lead.epoch < known.epoch || (lead.epoch == known.epoch && lead.holder != known.holder)) {
    return fail(
        ErrorKind::conflict,
        fmt::format("Leader {} of epoch {} was replaced: this host knows {} of epoch {}. It must stop commanding.",
                    lead.holder, lead.epoch, known.holder, known.epoch),
        "stale_epoch");
  }
  return {};
}

std::string command_key(const AgentCommand& command) {
  // The incarnation belongs to it: "stop X" and, after the node came back, "stop Y" are two commands.
  return json::serialize(json::array{command.order.run, command.order.step, command.kind, command.node, command.version,
                                     command.order.expected_incarnation.value_or("")});
}

Result<void> check_incarnation(const AgentCommand& command, std::string_view running) {
  const auto& expected = command.order.expected_incarnation;
  if (!expected || *expected == running) return {};
  const auto shown = [](std::string_view incarnation) { return incarnation.empty() ? "not running" : incarnation; };
  return fail(ErrorKind::conflict,
              fmt::format("'{}' was meant for node {} as {}, but it is {} now. Look again before commanding.",
                          command.kind, command.node, shown(*expected), shown(running)),
              "other_incarnation");
}

}  // namespace afloat::agent
