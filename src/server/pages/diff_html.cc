#include "server/pages/diff_html.h"

#include <fmt/format.h>

#include "base/text.h"

namespace afloat::server {
namespace {

constexpr std::size_t slow_bytes = 50'000;  ///< of both bodies; from here on it is no work for the event loop
constexpr std::size_t blocks_around = 2;    ///< of a change, shown unfolded
constexpr std::size_t rows_shown = 5'000;   ///< a browser's share; a page that long was written by a program

std::string_view class_of(wiki::BlockKind kind) {
  switch (kind) {
    case wiki::BlockKind::heading:
      return "diff-heading";
    case wiki::BlockKind::list_item:
      return "diff-item";
    case wiki::BlockKind::code_line:
      return "diff-code";
    case wiki::BlockKind::macro:
      return "diff-macro";
    default:
      return "diff-text";
  }
}

void append_pieces(std::string& out, const std::vector<wiki::Piece>& pieces) {
  for (const auto& piece : pieces) {
    const std::string_view element = piece.mark == wiki::Mark::added     ? "ins"
                                     : piece.mark == wiki::Mark::removed ? "del"
                                                                         : "";
    if (element.empty()) {
      out += escape_html(piece.text);
    } else {
      out += fmt::format("<{0}>{1}</{0}>", element, escape_html(piece.text));
    }
  }
}

/// One side of a row. The sign and the words for those who do not see it say what colour says to others.
void append_side(std::string& out, const wiki::DiffRow& row, bool old_side) {
  const auto& pieces = old_side ? row.before : row.after;
  const bool marked = row.change != wiki::Change::same && row.change != wiki::Change::formatted && !pieces.empty();
  const bool whole = row.change == wiki::Change::added || row.change == wiki::Change::removed;
  out += fmt::format("<div class=\"diff-side{}{}{}\">", old_side ? " diff-old" : " diff-new",
                     marked ? " diff-marked" : "", whole ? " diff-whole" : "");
  if (marked)
    out += fmt::format("<span class=\"diff-sign\" aria-hidden=\"true\">{}</span><span class=\"hidden\">{}: </span>",
                       old_side ? "&minus;" : "+", old_side ? "Old text" : "New text");
  if (!pieces.empty()) {
    // Deeper lists step in no further than a narrow screen bears.
    const int level = row.kind == wiki::BlockKind::list_item ? std::min(row.level, 4) : 0;
    out += fmt::format("<div class=\"{}{}\">", class_of(row.kind), level ? fmt::format(" diff-level-{}", level) : "");
    append_pieces(out, pieces);
    if (row.change == wiki::Change::formatted && !old_side)
      out += " <span class=\"diff-note\">formatting or links changed</span>";
    out += "</div>";
  }
  out += "</div>";
}

void append_row(std::string& out, const wiki::DiffRow& row) {
  const bool same = row.change == wiki::Change::same || row.change == wiki::Change::formatted;
  out += same ? "<div class=\"diff-row diff-same\">" : "<div class=\"diff-row\">";
  append_side(out, row, true);
  append_side(out, row, false);
  out += "</div>\n";
}

std::string rows_html(const std::vector<wiki::DiffRow>& rows) {
  std::string out;
  std::size_t at = 0;
  const auto shown = std::min(rows.size(), rows_shown);
  while (at < shown) {
    std::size_t end = at;
    while (end < shown && rows[end].change == wiki::Change::same) ++end;
    const std::size_t head = at == 0 ? 0 : blocks_around, tail = end == rows.size() ? 0 : blocks_around;
    if (end - at > head + tail + 1) {
      for (std::size_t i = at; i < at + head; ++i) append_row(out, rows[i]);
      out += fmt::format("<details class=\"diff-fold\"><summary>{} blocks that have not changed</summary>\n",
                         end - at - head - tail);
      for (std::size_t i = at + head; i < end - tail; ++i) append_row(out, rows[i]);
      out += "</details>\n";
      at = end - tail;
    }
    while (at < shown && at < end) append_row(out, rows[at++]);
    while (at < shown && rows[at].change != wiki::Change::same) append_row(out, rows[at++]);
  }
  if (shown < rows.size())
    out += fmt::format("<p class=\"meta\">{} more blocks are not shown: the page is too long to be compared here.</p>",
                       rows.size() - shown);
  return out;
}

std::string words(int count) { return fmt::format("{} {}", count, count == 1 ? "word" : "words"); }

DiffView view_of(const wiki::Diff& diff, std::string_view old_head, std::string_view new_head) {
  DiffView view;
  bool any = false, formatted = false;
  for (const auto& row : diff.rows) {
    any = any || row.change != wiki::Change::same;
    formatted = formatted || row.change == wiki::Change::formatted;
  }
  if (!any) {
    view.summary = "The text is the same.";
  } else if (diff.size == wiki::ChangeSize{}) {
    view.summary = formatted ? "No word has changed, but formatting or links have." : "No word has changed.";
  } else {
    view.summary = fmt::format("{} added, {} removed.", words(diff.size.added_words), diff.size.removed_words);
  }
  if (diff.whole)
    view.summary += " So much has changed that some parts are shown as replaced, without their words compared.";
  view.html = fmt::format(
      "<div class=\"diff\"><div class=\"diff-row diff-head\"><div class=\"diff-side\">{}</div>"
      "<div class=\"diff-side\">{}</div></div>\n{}</div>\n",
      escape_html(old_head), escape_html(new_head), rows_html(diff.rows));
  return view;
}

}  // namespace

Task<DiffView> diff_view(Context& context, std::string old_body, std::string new_body, std::string old_head,
                         std::string new_head) {
  DiffView view;
  const auto work = [&] { view = view_of(wiki::diff_bodies(old_body, new_body), old_head, new_head); };
  if (old_body.size() + new_body.size() < slow_bytes) {
    work();
  } else if (auto done = co_await context.offload(work); !done) {
    co_return std::unexpected(done.error());
  }
  co_return view;
}

std::string title_html(std::string_view old_title, std::string_view new_title) {
  if (old_title == new_title) return escape_html(new_title);
  return fmt::format("<del>{}</del> <ins>{}</ins>", escape_html(old_title), escape_html(new_title));
}

}  // namespace afloat::server
