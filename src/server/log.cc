#include "server/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <boost/json.hpp>
#include <chrono>
#include <deque>
#include <mutex>

#include "base/text.h"

namespace afloat::server {

namespace {

std::string node_name;

spdlog::logger& logger() {
  static auto instance = [] {
    auto made = spdlog::stderr_logger_mt("afloat");
    made->set_pattern("%v");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warning: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// Where stderr goes, a node can't know: a file, a journal, another program.
struct LastLines {
  static constexpr std::size_t most = 1'000, longest = 2'000;  // bytes of a line
  std::mutex mutex;
  std::deque<std::string> lines;
  void add(std::string_view line) {
    std::scoped_lock lock(mutex);
    lines.emplace_back(line.substr(0, longest));
    if (lines.size() > most) lines.pop_front();
  }
};
LastLines& last_lines() {
  static LastLines instance;
  return instance;
}

constexpr std::string_view names[] = {"debug", "info", "warning", "error"};

}  // namespace

void log(Level level, std::string_view event, std::initializer_list<std::pair<std::string_view, std::string>> fields) {
  auto& out = logger();
  if (!out.should_log(to_spdlog(level))) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  boost::json::object line{{"at", iso_time(std::chrono::duration_cast<std::chrono::milliseconds>(now).count())},
                           {"level", names[static_cast<int>(level)]},
                           {"node", node_name},
                           {"event", event}};
  for (const auto& [name, value] : fields) line[name] = value;
  const auto text = boost::json::serialize(line);
  out.log(to_spdlog(level), text);
  last_lines().add(text);
}

std::string last_log_lines() {
  auto& last = last_lines();
  std::scoped_lock lock(last.mutex);
  std::string text;
  for (const auto& line : last.lines) text += line + "\n";
  return text;
}

void set_log_node(std::string name) { node_name = std::move(name); }

void set_log_level(std::string_view level) {
  for (int i = 0; i < 4; ++i)
    if (names[i] == level) logger().set_level(to_spdlog(static_cast<Level>(i)));
}

}  // namespace afloat::server
