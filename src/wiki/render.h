#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// Storage format to HTML that is safe to show. Pure; thread-safe.
namespace afloat::wiki {

struct PageReference {
  std::string space_key;  ///< "" = the page's own space
  std::string title;
  auto operator<=>(const PageReference&) const = default;
};
/// What a page points at, each once, so that it can be looked up in one query before rendering.
struct References {
  std::vector<PageReference> pages;
  std::vector<std::string> attachments;  ///< file names on the page itself
};
/// Empty for what does not parse.
References references_in(std::string_view storage);

struct RenderContext {
  std::string space_key;  ///< of the page itself
  /// URL of a page, nullopt when there is none: rendered as a link of class "missing" to `new_page_url`.
  std::function<std::optional<std::string>(const PageReference&)> page_url;
  std::function<std::optional<std::string>(std::string_view file_name)> attachment_url;
  std::function<std::string(const PageReference&)> new_page_url;
};
struct Heading {
  std::string id;
  int level = 1;  ///< 1 to 6
  std::string text;
};
struct Rendered {
  std::string html;
  std::vector<Heading> headings;
  std::string plain_text;
  bool complete = true;  ///< false when a page or attachment was missing: such a rendering must not be cached for long
};
/// Errors as StorageDocument::parse. Unknown macros become a visible placeholder, never an error.
Result<Rendered> render_storage(std::string_view storage, const RenderContext& context);

}  // namespace afloat::wiki
