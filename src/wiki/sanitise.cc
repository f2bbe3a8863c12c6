#include "wiki/sanitise.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"

namespace afloat::wiki {
namespace {

template <std::size_t N>
bool one_of(std::string_view name, const std::array<std::string_view, N>& sorted) {
  return std::ranges::binary_search(sorted, name);
}

// Sorted; a static_assert below keeps them so.
constexpr auto allowed = std::to_array<std::string_view>(
    {"a",          "abbr",   "acronym",  "b",      "bdi", "bdo",     "big", "blockquote", "br",    "caption", "cite",
     "code",       "col",    "colgroup", "dd",     "del", "details", "dfn", "div",        "dl",    "dt",      "em",
     "figcaption", "figure", "h1",       "h2",     "h3",  "h4",      "h5",  "h6",         "hr",    "i",       "img",
     "ins",        "kbd",    "li",       "mark",   "ol",  "p",       "pre", "q",          "s",     "samp",    "section",
     "small",      "span",   "strike",   "strong", "sub", "summary", "sup", "table",      "tbody", "td",      "tfoot",
     "th",         "thead",  "time",     "tr",     "tt",  "u",       "ul",  "var",        "wbr"});
constexpr auto dropped = std::to_array<std::string_view>(
    {"applet", "audio",  "base",   "button", "canvas", "embed",    "form",     "frame",  "frameset",
     "head",   "iframe", "input",  "link",   "math",   "meta",     "noscript", "object", "optgroup",
     "option", "script", "select", "style",  "svg",    "template", "textarea", "title",  "video"});
constexpr auto voids = std::to_array<std::string_view>({"br", "col", "hr", "img", "wbr"});
constexpr auto blocks = std::to_array<std::string_view>(
    {"blockquote", "br",    "caption", "dd", "details", "div", "dl",    "dt", "figcaption", "figure", "h1",
     "h2",         "h3",    "h4",      "h5", "h6",      "hr",  "li",    "ol", "p",          "pre",    "section",
     "summary",    "table", "tbody",   "td", "tfoot",   "th",  "thead", "tr", "ul"});
static_assert(std::ranges::is_sorted(allowed) && std::ranges::is_sorted(dropped) && std::ranges::is_sorted(voids) &&
              std::ranges::is_sorted(blocks));

std::optional<std::string> number_attribute(std::string_view value, std::int64_t most) {
  const bool percent = value.ends_with('%');
  const auto number = parse_int(percent ? value.substr(0, value.size() - 1) : value);
  if (!number || *number < 0 || *number > most) return std::nullopt;
  return std::to_string(*number) + (percent ? "%" : "");
}

}  // namespace

bool element_allowed(std::string_view name) { return one_of(name, allowed); }
bool element_dropped_whole(std::string_view name) { return one_of(name, dropped); }
bool element_void(std::string_view name) { return one_of(name, voids); }
bool element_block(std::string_view name) { return one_of(name, blocks); }

bool url_allowed(std::string_view url) {
  // Browsers strip these before they look for a scheme, so do the same before judging it.
  std::string bare;
  for (unsigned char c : url)
    if (c > 0x20 && c != 0x7f) bare += static_cast<char>(std::tolower(c));
  if (bare.starts_with("//") || bare.starts_with("\\") || bare.starts_with("/\\")) return false;
  const auto colon = bare.find(':');
  if (colon == std::string::npos) return true;
  const auto path = bare.find_first_of("/?#");
  if (path < colon) return true;  // the colon is not a scheme's
  const auto scheme = std::string_view(bare).substr(0, colon);
  return scheme == "http" || scheme == "https" || scheme == "mailto";
}

std::string anchor_of(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == ':') {
      out += static_cast<char>(c);
    } else if (c >= 0x80) {
      out += static_cast<char>(c);  // letters of other scripts
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
    if (out.size() >= 200) break;
  }
  while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80 && out.size() >= 200) out.pop_back();
  while (out.ends_with('-')) out.pop_back();
  return out.empty() ? "section" : out;
}

std::optional<std::string> clean_attribute(std::string_view element, std::string_view name, std::string_view value) {
  if (name == "id") return value.empty() ? std::nullopt : std::optional(anchor_of(value));
  if (name == "title" || name == "lang" || name == "dir") return std::string(value);
  if (name == "href" && element == "a") return url_allowed(value) ? std::optional(std::string(value)) : std::nullopt;
  if (element == "img") {
    if (name == "src") return url_allowed(value) ? std::optional(std::string(value)) : std::nullopt;
    if (name == "alt") return std::string(value);
    if (name == "width" || name == "height") return number_attribute(value, 10'000);
  }
  if (element == "td" || element == "th") {
    if (name == "colspan" || name == "rowspan") return number_attribute(value, 1'000);
    if (name == "scope" && (value == "row" || value == "col")) return std::string(value);
  }
  if ((element == "col" || element == "colgroup") && name == "span") return number_attribute(value, 1'000);
  if (element == "ol" && name == "start") return number_attribute(value, 1'000'000);
  if (element == "ol" && name == "type" && value.size() == 1 && std::string_view("1aAiI").contains(value[0]))
    return std::string(value);
  if ((name == "align" || name == "valign") &&
      (value == "left" || value == "right" || value == "center" || value == "top" || value == "middle"))
    return std::string(value);
  if (element == "time" && name == "datetime") return std::string(value);
  if (element == "details" && name == "open") return std::string("open");
  return std::nullopt;
}

}  // namespace afloat::wiki
