#include "cluster/gate.h"

#include <array>

namespace afloat::cluster {
namespace {

// One line per gate: name, version, what it guards, when it can go.
constexpr std::array table = {
    Gate{"body_store", 1, 1, 0, "writing page bodies to page_body alone, without page_version.body",
         "with the first release that can't be reached from 1.0.0 in one hop"},
};

}  // namespace

std::span<const Gate> gates() { return table; }

const Gate* find_gate(std::string_view name) { return find_gate(gates(), name); }

const Gate* find_gate(std::span<const Gate> table, std::string_view name) {
  for (const auto& gate : table)
    if (gate.name == name) return &gate;
  return nullptr;
}

}  // namespace afloat::cluster
