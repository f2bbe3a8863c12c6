#include "cluster/gate.h"

#include <array>

namespace afloat::cluster {
namespace {

// One line per gate: name, version, what it guards, when it can go.
constexpr std::array table = {
    Gate{"body_store", 1, 1, 0, "writing page bodies to page_body alone, without page_version.body",
         "gone from the code with 1.2.0, which can't be reached from 1.0 in one hop; the name stays taken"},
    Gate{"search_words", 1, 2, 0, "writing page_search without its column document",
         "gone from the code with 1.3.0, which can't be reached from 1.1 in one hop; the name stays taken"},
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
