#include "cli/probe_ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/json_fields.h"

namespace afloat::cli {
namespace json = boost::json;
namespace {

std::string json_text(std::string_view text) { return json::serialize(json::string(text)); }

std::string ledger_path(const std::string& folder) { return folder + "/ledger.jsonl"; }

std::string counters_line(std::string_view name, const Counters& c) {
  return fmt::format("{{\"{}\":{{\"at\":{},\"offered\":{},\"sent\":{},\"late\":{}}}}}\n", name, c.at_ms, c.offered,
                     c.sent, c.late);
}

Counters read_counters(const json::object& o) {
  return {int_or(o, "at"), int_or(o, "offered"), int_or(o, "sent"), int_or(o, "late")};
}

WriteRecord read_write(const json::object& o) {
  WriteRecord w;
  w.at_ms = int_or(o, "at");
  w.target = string_or(o, "w") == "attachment" ? WriteTarget::attachment : WriteTarget::page;
  w.certainty = bool_or(o, "unknown") ? Certainty::unknown : Certainty::acknowledged;
  w.id = string_or(o, "id");
  w.page_id = string_or(o, "page");
  w.version = static_cast<int>(int_or(o, "v", 1));
  w.digest = string_or(o, "digest");
  w.title = string_or(o, "title");
  w.marker = string_or(o, "marker");
  w.link = string_or(o, "link");
  return w;
}

LoadMeta read_meta(const json::object& o) {
  LoadMeta m;
  m.run = string_or(o, "run");
  m.site = string_or(o, "site");
  m.space = string_or(o, "space");
  m.write_space = string_or(o, "write_space");
  m.rate = double_or(o, "rate");
  m.users = static_cast<int>(int_or(o, "users"));
  m.started_at_ms = int_or(o, "started_at");
  return m;
}

}  // namespace

Counters LedgerContents::totals() const { return counters.empty() ? Counters{} : counters.back(); }

std::int64_t LedgerContents::acknowledged() const {
  std::int64_t n = 0;
  for (const auto& w : writes) n += w.certainty == Certainty::acknowledged;
  return n;
}

Result<std::unique_ptr<LedgerWriter>> LedgerWriter::create(const std::string& folder) {
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const int file = ::open(ledger_path(folder).c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0 && errno == EEXIST)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} holds a ledger of an earlier load, which is not overwritten; name another folder with "
                            "--ledger or remove that one.",
                            folder));
  if (file < 0)
    return fail(ErrorKind::failed_precondition,
                fmt::format("The ledger cannot be written to {}: {}.", ledger_path(folder), std::strerror(errno)));
  return std::unique_ptr<LedgerWriter>(new LedgerWriter(file));
}

LedgerWriter::~LedgerWriter() {
  (void)flush();
  ::close(file_);
}

void LedgerWriter::meta(const LoadMeta& m) {
  pending_ += fmt::format(
      "{{\"meta\":{{\"run\":{},\"site\":{},\"space\":{},\"write_space\":{},\"rate\":{},\"users\":{},\"started_at\":{}}}"
      "}}\n",
      json_text(m.run), json_text(m.site), json_text(m.space), json_text(m.write_space), m.rate, m.users,
      m.started_at_ms);
}

void LedgerWriter::outcome(const Outcome& o) {
  pending_ += fmt::format("{{\"at\":{},\"k\":\"{}\",\"ms\":{:.2f}", o.at_ms, o.kind, o.latency_ms);
  if (!o.node.empty()) pending_ += ",\"n\":" + json_text(o.node);
  if (!o.failure.empty()) pending_ += ",\"failed\":" + json_text(o.failure);
  pending_ += "}\n";
}

void LedgerWriter::write(const WriteRecord& w) {
  pending_ += fmt::format("{{\"w\":\"{}\",\"at\":{},\"id\":{},\"v\":{},\"digest\":\"{}\",\"title\":{}",
                          w.target == WriteTarget::page ? "page" : "attachment", w.at_ms, json_text(w.id), w.version,
                          w.digest, json_text(w.title));
  if (!w.marker.empty()) pending_ += ",\"marker\":" + json_text(w.marker);
  if (!w.page_id.empty()) pending_ += ",\"page\":" + json_text(w.page_id);
  if (!w.link.empty()) pending_ += ",\"link\":" + json_text(w.link);
  if (w.certainty == Certainty::unknown) pending_ += ",\"unknown\":true";
  pending_ += "}\n";
}

void LedgerWriter::counters(const Counters& c) { pending_ += counters_line("second", c); }
void LedgerWriter::end(const Counters& c) { pending_ += counters_line("end", c); }

Result<void> LedgerWriter::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const auto written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      return fail(ErrorKind::failed_precondition,
                  fmt::format("The ledger cannot be written: {}. Without it nothing is proved; the load stops.",
                              std::strerror(errno)));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  pending_.clear();
  return {};
}

Result<LedgerContents> read_ledger(const std::string& folder) {
  std::ifstream in(ledger_path(folder), std::ios::binary);
  if (!in)
    return fail(ErrorKind::not_found,
                fmt::format("There is no ledger at {}; --ledger names the folder that `afloat load` wrote.",
                            ledger_path(folder)));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  LedgerContents contents;
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) break;  // torn: the load was killed while writing
    const auto line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    boost::system::error_code error;
    const auto value = json::parse(line, error);
    if (error || !value.is_object())
      return fail(ErrorKind::data_corrupted, fmt::format("Line {} of {} is not a JSON object: {}", number,
                                                         ledger_path(folder), line.substr(0, 80)));
    const auto& o = value.get_object();
    if (const auto* meta = object_at(o, "meta")) {
      contents.meta = read_meta(*meta);
    } else if (const auto* second = object_at(o, "second")) {
      contents.counters.push_back(read_counters(*second));
    } else if (const auto* last = object_at(o, "end")) {
      contents.counters.push_back(read_counters(*last));
      contents.ended = true;
    } else if (o.contains("w")) {
      contents.writes.push_back(read_write(o));
    } else if (o.contains("k")) {
      contents.outcomes.push_back(
          {int_or(o, "at"), string_or(o, "k"), double_or(o, "ms"), string_or(o, "failed"), string_or(o, "n")});
    }
  }
  return contents;
}

std::string_view failure_kind(std::string_view failure) { return failure.substr(0, failure.find(':')); }

}  // namespace afloat::cli
