#pragma once
#include <string>
#include <string_view>

#include "server/context.h"
#include "wiki/diff.h"

/// Two versions of a page beside each other, as HTML.
namespace afloat::server {

struct DiffView {
  std::string html;     ///< the rows; what has not changed is folded but for a few blocks around each change
  std::string summary;  ///< "12 words added, 3 removed"
};
/// Compares on the thread pool where that takes milliseconds. Columns are headed `old_head` and `new_head`.
Task<DiffView> diff_view(Context& context, std::string old_body, std::string new_body, std::string old_head,
                         std::string new_head);
/// Changes between titles marked, or the title as it is.
std::string title_html(std::string_view old_title, std::string_view new_title);

}  // namespace afloat::server
