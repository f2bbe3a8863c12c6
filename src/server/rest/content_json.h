#pragma once
#include <boost/json.hpp>
#include <set>
#include <string>

#include "adapters/http/router.h"
#include "server/auth.h"
#include "server/context.h"
#include "store/attachment_store.h"
#include "store/page_store.h"
#include "store/space_store.h"

/// What the files of the content API share: how calls are answered and the JSON shapes that clients know.
namespace afloat::server {

/// A call that may fail; the error becomes the response.
using Call = Task<http::Response> (*)(Context&, http::Request);
/// Adds `call` for `method` and `pattern`.
void add_call(http::Router& router, Context& context, std::string method, std::string pattern, Call call);

/// The parts asked for by ?expand=a,b.c (also given several times). "body.storage" also has "body".
class Expand {
 public:
  explicit Expand(const http::Request& request);
  bool has(std::string_view part) const { return parts_.contains(part); }
  /// Something that only a whole Page has.
  bool needs_page() const { return has("body") || has("ancestors") || has("metadata"); }

 private:
  std::set<std::string, std::less<>> parts_;
};

struct PageRange {
  int start = 0;
  int limit = 25;
};
/// ?start and ?limit, the limit at most 500. Errors: invalid_argument.
Result<PageRange> page_range(const http::Request& request);
/// {id} as a number, with or without "att". Errors: not_found, since clients expect 404 for any unknown id.
Result<std::int64_t> id_in(std::string_view text);

/// The list's envelope. `results` may hold one more than the limit: it is left out and there is a next page.
boost::json::object list_json(const Context& context, const http::Request& request, PageRange range,
                              boost::json::array results);
http::Response ok(const boost::json::value& value);
/// 204 without a body.
http::Response no_content();

boost::json::object user_json(const store::UserName& user);
boost::json::object user_json(const Identity& user);
boost::json::object labels_json(const std::vector<store::Label>& labels);
boost::json::object version_json(const store::PageVersion& version);
boost::json::object summary_json(const Context& context, const store::PageSummary& page);
boost::json::object page_json(const Context& context, const store::Page& page, const Expand& expand);
boost::json::object space_json(const Context& context, const store::Space& space, const Expand& expand);
boost::json::object attachment_json(const Context& context, const store::Attachment& attachment);

/// In lower case. Errors: invalid_argument (empty, too long, a blank, comma or colon in it).
Result<std::string> label_name(std::string_view text);
/// A label object or an array of them. Errors: invalid_argument.
Result<std::vector<store::Label>> labels_in(const boost::json::value& value);
/// Children, history, versions and labels; add_content_routes() calls it.
void add_content_part_routes(http::Router& router, Context& context);

/// Summaries as JSON, as whole pages (one more read) where `expand` asks for their parts.
Task<boost::json::array> pages_json(Context& context, const std::vector<store::PageSummary>& pages, Expand expand,
                                    Deadline deadline);

}  // namespace afloat::server
