#include "server/context.h"

#include <algorithm>

#include "version/version.h"

namespace afloat::server {

GateKeeper::Use::Use(GateKeeper* keeper, Gates gates) : keeper_(keeper), gates_(gates) {}
GateKeeper::Use::Use(Use&& other) noexcept : keeper_(std::exchange(other.keeper_, nullptr)), gates_(other.gates_) {}
GateKeeper::Use::~Use() {
  if (keeper_ != nullptr) keeper_->release(gates_.number);
}

GateKeeper::Use GateKeeper::use() {
  auto entry = std::find_if(in_use_.begin(), in_use_.end(), [&](const auto& e) { return e.first == current_.number; });
  if (entry == in_use_.end())
    in_use_.emplace_back(current_.number, 1);
  else
    ++entry->second;
  publish();
  return Use(this, current_);
}

void GateKeeper::update(Gates gates) {
  if (gates.number >= current_.number) current_ = gates;  // gates only rise
  publish();
}

void GateKeeper::release(int number) {
  for (auto entry = in_use_.begin(); entry != in_use_.end(); ++entry) {
    if (entry->first != number) continue;
    if (--entry->second == 0) in_use_.erase(entry);
    break;
  }
  publish();
}

void GateKeeper::publish() {
  int lowest = current_.number;
  for (const auto& [number, count] : in_use_) lowest = std::min(lowest, number);
  lowest_.store(lowest);
}

Task<void> refresh_gates(Context& context, Deadline deadline) {
  auto rows = co_await context.database.read({"select gates, cluster_version from cluster_state", {}}, deadline);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return fail(ErrorKind::internal, "the database has no cluster state");
  Gates gates;
  gates.number = static_cast<int>(rows->number(0, 0));
  if (auto parsed = version::parse_version(rows->text(0, 1))) gates.cluster_build = version::build_number(*parsed);
  context.gates.update(gates);
  co_return Result<void>{};
}

}  // namespace afloat::server
