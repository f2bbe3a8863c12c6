#include "agent/leadership.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "adapters/files/archive.h"
#include "base/json_fields.h"
#include "base/text.h"

namespace afloat::agent {

namespace json = boost::json;

EpochGuard::EpochGuard(std::string path) : path_(std::move(path)) {}

Result<void> EpochGuard::load() {
  std::scoped_lock lock(mutex_);
  auto text = files::read_file(path_);
  if (!text && text.error().kind() == ErrorKind::not_found) return {};
  if (!text) return std::unexpected(text.error());
  auto fields = parse_json_object(*text, path_);
  if (!fields || !fields->contains("epoch") || string_or(*fields, "holder").empty()) {
    return fail(
        ErrorKind::data_corrupted,
        fmt::format("{} can't be read. It keeps replaced leaders out, so the agent does not act without it. Make sure "
                    "that no conductor runs, then remove the file and start the agent.",
                    path_));
  }
  known_ = {int_or(*fields, "epoch"), string_or(*fields, "holder")};
  return {};
}

Result<void> EpochGuard::accept(const LeaderLease& lead) {
  std::scoped_lock lock(mutex_);
  if (auto checked = check_lead(known_, lead); !checked) return checked;
  if (lead.epoch == known_.epoch) return {};
  // On disk first: if it counted before, a crash in between would let the earlier leader in again.
  const std::string text = json::serialize(json::object{{"epoch", lead.epoch}, {"holder", lead.holder}}) + "\n";
  if (auto written = files::write_file_durably(path_, text); !written) return written;
  known_ = lead;
  return {};
}

LeaderLease EpochGuard::known() const {
  std::scoped_lock lock(mutex_);
  return known_;
}

CommandJournal::CommandJournal(std::string path) : path_(std::move(path)) {}

Result<void> CommandJournal::load() {
  std::scoped_lock lock(mutex_);
  auto text = files::read_file(path_);
  if (!text && text.error().kind() == ErrorKind::not_found) return {};
  if (!text) return std::unexpected(text.error());
  for (const auto& line : split(*text, '\n')) {
    if (line.empty()) continue;
    auto fields = parse_json_object(line, path_);
    if (fields && string_or(*fields, "outcome") == "done") done_.insert(string_or(*fields, "key"));
  }
  // The next line must not be glued to a torn one.
  if (!text->empty() && !text->ends_with('\n')) return files::write_file_durably(path_, *text + "\n");
  return {};
}

bool CommandJournal::is_done(const AgentCommand& command) const {
  std::scoped_lock lock(mutex_);
  return !command.order.step.empty() && done_.contains(command_key(command));
}

Result<void> CommandJournal::record(const AgentCommand& command, std::string_view outcome, std::string_view message) {
  std::scoped_lock lock(mutex_);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  json::object entry{{"at", iso_time(std::chrono::duration_cast<std::chrono::milliseconds>(now).count())},
                     {"outcome", outcome},
                     {"kind", command.kind},
                     {"node", command.node},
                     {"version", command.version},
                     {"run", command.order.run},
                     {"step", command.order.step},
                     {"epoch", command.order.lead.epoch},
                     {"holder", command.order.lead.holder},
                     {"key", command_key(command)}};
  if (!message.empty()) entry["message"] = message;
  const std::string line = json::serialize(entry) + "\n";
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  bool written = fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (written && outcome == "done") written = ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!written) return fail(ErrorKind::internal, fmt::format("Can't write {}: {}", path_, std::strerror(error)));
  if (outcome == "done") done_.insert(command_key(command));
  return {};
}

}  // namespace afloat::agent
