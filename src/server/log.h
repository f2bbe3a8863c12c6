#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace afloat::server {

enum class Level { debug, info, warning, error };
/// One line of JSON on stderr: {"at":"...","level":"info","node":"node1","event":"...", fields}. Thread-safe.
void log(Level level, std::string_view event, std::initializer_list<std::pair<std::string_view, std::string>> fields = {});
void set_log_node(std::string name);
void set_log_level(std::string_view level);
/// The last lines that this process has logged, at most 1,000, each with its end of line. Thread-safe.
std::string last_log_lines();

}  // namespace afloat::server
