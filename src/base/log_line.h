#pragma once
#include <string>
#include <string_view>

namespace afloat {

/// A line of a node's log for people: of {"at":"...","level":"error","event":"start_failed","message":"..."} the time,
/// level and message, or the event with its other fields where it has none. Any other line as it is.
std::string readable_log_line(std::string_view line);
/// The same of each line.
std::string readable_log(std::string_view lines);
/// The message alone; the line as it is where it has none.
std::string log_message(std::string_view line);

}  // namespace afloat
