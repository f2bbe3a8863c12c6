#pragma once
#include <string>
#include <vector>

namespace afloat {

/// One line of CSV (RFC 4180), with CRLF at its end. A cell that a spreadsheet would take for a formula gets an
/// apostrophe before it: whoever chose a name should not be able to run something where the list is opened. Pure.
std::string csv_line(const std::vector<std::string>& cells);

}  // namespace afloat
