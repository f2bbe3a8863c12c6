#include "cluster/gate.h"

#include <array>

namespace afloat::cluster {
namespace {

// One line per gate: name, version, what it guards, when it can go. 1.0.0 is the first release, so nothing
// in it can be newer than the cluster version.
constexpr std::array<Gate, 0> table = {};

}  // namespace

std::span<const Gate> gates() { return table; }

const Gate* find_gate(std::string_view name) { return find_gate(gates(), name); }

const Gate* find_gate(std::span<const Gate> table, std::string_view name) {
  for (const auto& gate : table)
    if (gate.name == name) return &gate;
  return nullptr;
}

}  // namespace afloat::cluster
