#pragma once
#include <boost/json/fwd.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace afloat::server {

/// Logic-less, auto-escaping mustache templates (web/templates/*.mustache), parsed once per thread.
/// Data is a JSON object; a name that the template uses and the data lacks is an error, not an empty
/// string. Ready-made HTML is passed under names ending in `_html` and written {{{like_this_html}}}.
class Templates {
 public:
  /// Reads every template of `folder` (share/web/templates of the bundle). Errors name file and fault.
  /// `asset_urls` is Assets::urls(): "app.css" -> "/assets/app.<16 hex>.css".
  static Result<std::unique_ptr<Templates>> load(const std::string& folder,
                                                 std::map<std::string, std::string> asset_urls);
  static Result<std::unique_ptr<Templates>> load(const std::string& folder);  ///< without assets: for tests
  ~Templates();
  /// `name` without extension; the piece alone.
  Result<std::string> render(std::string_view name, const boost::json::object& data) const;
  /// The piece inside layout.mustache: a whole page. `data` also has what the layout needs (title, user, ...).
  Result<std::string> render_page(std::string_view name, const boost::json::object& data) const;
  /// layout.mustache around `body`, which is HTML. `data`: what the layout alone needs.
  Result<std::string> wrap(std::string_view body, boost::json::object data) const;
  /// /assets/app.<hash>.css for "app.css"; the name itself where unknown.
  std::string asset_url(std::string_view name) const;

 private:
  struct Impl;
  explicit Templates(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace afloat::server
