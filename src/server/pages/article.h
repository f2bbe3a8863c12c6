#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/context.h"
#include "store/attachment_store.h"
#include "store/page_store.h"
#include "wiki/render.h"

/// A page's body as HTML, with its links resolved, and the article around it.
namespace afloat::server {

struct RenderedBody {
  Result<wiki::Rendered> rendered;  ///< invalid_argument where the body is not well-formed
  std::vector<store::Attachment> attachments;
};
/// `page_id` nullopt: of a page that does not exist yet. Long bodies are rendered on the thread pool.
Task<RenderedBody> render_body(Context& context, std::optional<std::int64_t> page_id, std::string space_key,
                               std::string body, Deadline deadline);

/// A rendered page as it lies in the cache: a few header lines, then HTML without anything of the visitor.
struct CachedArticle {
  struct Step {
    std::int64_t id = 0;
    std::string title;
  };
  std::string etag, space_key, title;
  std::vector<Step> path;           ///< pages above it, from the top down, then the page itself; no home page
  std::vector<std::string> labels;  ///< names
  std::shared_ptr<const std::string> bytes;
  std::size_t html_at = 0;
  std::string_view html() const { return std::string_view(*bytes).substr(html_at); }

  static CachedArticle unpack(std::shared_ptr<const std::string> bytes);
};
/// The page as it is, or one of its old versions. `complete` is false when something that it links to is missing.
Task<CachedArticle> render_article(Context& context, store::Page page, std::optional<store::PageVersion> old,
                                   bool& complete, Deadline deadline);

}  // namespace afloat::server
