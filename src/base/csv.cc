#include "base/csv.h"

#include <string_view>

#include "base/text.h"

namespace afloat {

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (const auto& cell : cells) {
    if (!line.empty() || &cell != &cells.front()) line += ',';
    const bool formula = !cell.empty() && std::string_view("=+-@\t\r").contains(cell.front());
    const auto text = formula ? "'" + cell : cell;
    if (text.find_first_of("\",\r\n") == std::string::npos)
      line += text;
    else
      line += '"' + replace_all(text, "\"", "\"\"") + '"';
  }
  return line + "\r\n";
}

}  // namespace afloat
