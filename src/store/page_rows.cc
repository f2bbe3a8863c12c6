#include "store/page_rows.h"

#include <fmt/format.h>

namespace afloat::store {

UserName user_name(const Rows& rows, std::size_t row, std::size_t name_column) {
  return {rows.text(row, name_column), rows.text(row, name_column + 1)};
}

std::optional<std::int64_t> optional_number(const Rows& rows, std::size_t row, std::size_t column) {
  if (rows.is_null(row, column)) return std::nullopt;
  return rows.number(row, column);
}

PageSummary page_summary(const Rows& rows, std::size_t row) {
  PageSummary page;
  page.id = rows.number(row, 0);
  page.space_id = rows.number(row, 1);
  page.space_key = rows.text(row, 2);
  page.space_name = rows.text(row, 3);
  page.homepage_id = optional_number(rows, row, 4);
  page.parent_id = optional_number(rows, row, 5);
  page.position = static_cast<int>(rows.number(row, 6));
  page.title = rows.text(row, 7);
  page.version = static_cast<int>(rows.number(row, 8));
  page.status = rows.text(row, 9);
  page.created_by = user_name(rows, row, 10);
  page.created_at_ms = rows.number(row, 12);
  page.updated_by = user_name(rows, row, 13);
  page.updated_at_ms = rows.number(row, 15);
  return page;
}

std::vector<PageSummary> page_summaries(const Rows& rows) {
  std::vector<PageSummary> pages;
  pages.reserve(rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) pages.push_back(page_summary(rows, row));
  return pages;
}

std::string id_array(const std::vector<std::int64_t>& ids) { return fmt::format("{{{}}}", fmt::join(ids, ",")); }

std::string text_array(const std::vector<std::string>& texts) {
  std::string out = "{";
  for (const auto& text : texts) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

Error no_such_page(std::int64_t id) {
  return {ErrorKind::not_found, fmt::format("There is no page with the id {}, or it is in the trash.", id)};
}

}  // namespace afloat::store
