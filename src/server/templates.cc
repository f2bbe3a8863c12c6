#include "server/templates.h"

#include <fmt/core.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <kainjow/mustache.hpp>
#include <map>
#include <sstream>

namespace afloat::server {
namespace {

namespace mustache = kainjow::mustache;

mustache::data to_data(const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::object: {
      mustache::data out(mustache::data::type::object);
      for (const auto& [name, member] : value.get_object()) out.set(std::string(name), to_data(member));
      return out;
    }
    case boost::json::kind::array: {
      mustache::data out(mustache::data::type::list);
      for (const auto& item : value.get_array()) out.push_back(to_data(item));
      return out;
    }
    case boost::json::kind::bool_:
      return mustache::data(value.get_bool());
    case boost::json::kind::null:
      return mustache::data(false);
    case boost::json::kind::string: {
      const auto& text = value.get_string();
      return mustache::data(std::string(text.data(), text.size()));
    }
    default:
      return mustache::data(boost::json::serialize(value));
  }
}

/// Remembers names that the template uses and the data lacks; the library itself would print nothing.
class StrictContext : public mustache::context<std::string> {
 public:
  using mustache::context<std::string>::context;
  const mustache::data* get(const std::string& name) const override {
    const auto* found = mustache::context<std::string>::get(name);
    if (!found && missing_.empty()) missing_ = name;
    return found;
  }
  const mustache::data* get_partial(const std::string& name) const override {
    missing_ = "> " + name + " (partials are not used here)";
    return nullptr;
  }
  const std::string& missing() const { return missing_; }

 private:
  mutable std::string missing_;
};

}  // namespace

struct Templates::Impl {
  std::map<std::string, mustache::mustache, std::less<>> templates;
  std::map<std::string, std::string, std::less<>> assets;
};

Templates::Templates(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Templates::~Templates() = default;

Result<std::unique_ptr<Templates>> Templates::load(const std::string& folder,
                                                   std::map<std::string, std::string> asset_urls) {
  auto impl = std::make_unique<Impl>();
  for (auto& [name, url] : asset_urls) impl->assets.emplace(name, std::move(url));
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    if (entry.path().extension() != ".mustache") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return fail(ErrorKind::unavailable, fmt::format("Cannot read the template {}.", entry.path().string()));
    mustache::mustache parsed(text.str());
    if (!parsed.is_valid())
      return fail(ErrorKind::data_corrupted,
                  fmt::format("The template {} is broken: {}.", entry.path().string(), parsed.error_message()));
    impl->templates.emplace(entry.path().stem().string(), std::move(parsed));
  }
  if (failed || !impl->templates.contains("layout"))
    return fail(ErrorKind::not_found, fmt::format("There are no page templates in {}; set AFLOAT_WEB to the folder web "
                                                  "of the release.",
                                                  folder));
  return std::unique_ptr<Templates>(new Templates(std::move(impl)));
}

Result<std::unique_ptr<Templates>> Templates::load(const std::string& folder) { return load(folder, {}); }

Result<std::string> Templates::render(std::string_view name, const boost::json::object& data) const {
  const auto found = impl_->templates.find(name);
  if (found == impl_->templates.end()) return fail(ErrorKind::internal, fmt::format("There is no template {}.", name));
  const auto values = to_data(data);
  StrictContext context(&values);
  // The library's render() is not const although it changes nothing but its error text; one Templates per
  // thread makes that safe.
  auto html = const_cast<mustache::mustache&>(found->second).render(context);
  if (!context.missing().empty())
    return fail(ErrorKind::internal, fmt::format("The template {} needs the name {}, which the page did not give.",
                                                 name, context.missing()));
  return html;
}

Result<std::string> Templates::wrap(std::string_view body, boost::json::object data) const {
  // The body may be large, so it is spliced in rather than carried through the template's data.
  constexpr std::string_view marker = "\x01";
  data["body_html"] = marker;
  data["css"] = asset_url("app.css");
  data["icon"] = asset_url("icon.svg");
  data["reading_script"] = asset_url("reading.js");
  auto outer = render("layout", data);
  if (!outer) return outer;
  const auto at = outer->rfind(marker);
  if (at == std::string::npos) return fail(ErrorKind::internal, "The layout template does not show body_html.");
  std::string page;
  page.reserve(outer->size() + body.size());
  page.append(*outer, 0, at).append(body).append(*outer, at + marker.size());
  return page;
}

Result<std::string> Templates::render_page(std::string_view name, const boost::json::object& data) const {
  auto body = render(name, data);
  if (!body) return body;
  return wrap(*body, data);
}

std::string Templates::asset_url(std::string_view name) const {
  const auto found = impl_->assets.find(name);
  return found == impl_->assets.end() ? std::string(name) : found->second;
}

}  // namespace afloat::server
