#include "wiki/import_html.h"

#include <fmt/core.h>
#include <gumbo.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "base/text.h"
#include "wiki/import_tree.h"
#include "wiki/sanitise.h"

namespace afloat::wiki {
namespace {

struct GumboFree {
  void operator()(GumboOutput* output) const { gumbo_destroy_output(&kGumboDefaultOptions, output); }
};
using Parsed = std::unique_ptr<GumboOutput, GumboFree>;

bool ends_with_any(std::string_view path, std::initializer_list<std::string_view> endings) {
  const std::string lower = to_lower(path);
  return std::ranges::any_of(endings, [&](std::string_view end) { return lower.ends_with(end); });
}
bool is_html(std::string_view path) { return ends_with_any(path, {".html", ".htm", ".xhtml"}); }

std::string_view attribute(const GumboNode* node, const char* name) {
  if (node->type != GUMBO_NODE_ELEMENT && node->type != GUMBO_NODE_TEMPLATE) return {};
  const auto* a = gumbo_get_attribute(&node->v.element.attributes, name);
  return a ? std::string_view(a->value) : std::string_view();
}
std::string tag_of(const GumboNode* node) {
  const auto& element = node->v.element;
  if (element.tag != GUMBO_TAG_UNKNOWN) return gumbo_normalized_tagname(element.tag);
  return "";
}
bool has_class(const GumboNode* node, std::string_view name) {
  const auto classes = split(attribute(node, "class"), ' ');
  return std::ranges::find(classes, name) != classes.end();
}
std::vector<const GumboNode*> children_of(const GumboNode* node) {
  std::vector<const GumboNode*> out;
  if (node->type != GUMBO_NODE_ELEMENT) return out;
  const auto& list = node->v.element.children;
  for (unsigned i = 0; i < list.length; ++i) out.push_back(static_cast<const GumboNode*>(list.data[i]));
  return out;
}
void append_text(const GumboNode* node, std::string& out) {
  if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE || node->type == GUMBO_NODE_CDATA)
    out += node->v.text.text;
  for (const auto* c : children_of(node)) append_text(c, out);
}
/// One line: no-break spaces and newlines become single blanks.
std::string one_line(std::string_view text) {
  const std::string spaced = replace_all(std::string(text), "\xC2\xA0", " ");
  std::string out;
  for (unsigned char c : spaced) {
    if (c <= 0x20) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      out += static_cast<char>(c);
    }
  }
  return std::string(trim(out));
}
std::string text_of(const GumboNode* node) {
  std::string out;
  append_text(node, out);
  return one_line(out);
}
const GumboNode* find_tag(const GumboNode* node, GumboTag tag) {
  if (node->type == GUMBO_NODE_ELEMENT && node->v.element.tag == tag) return node;
  for (const auto* c : children_of(node))
    if (const auto* found = find_tag(c, tag)) return found;
  return nullptr;
}

/// XML 1.0 has no other control characters than tab, newline and return.
std::string xml_text(std::string_view text) {
  std::string clean;
  for (unsigned char c : text)
    if (c >= 0x20 || c == '\t' || c == '\n' || c == '\r') clean += static_cast<char>(c);
  // U+FFFE and U+FFFF are no XML characters either.
  return escape_html(replace_all(replace_all(std::move(clean), "\xEF\xBF\xBE", ""), "\xEF\xBF\xBF", ""));
}

std::string to_utf8(const std::string& bytes, std::string_view path, std::vector<ImportNote>& notes) {
  std::string text = bytes.starts_with("\xEF\xBB\xBF") ? bytes.substr(3) : bytes;
  std::erase(text, '\0');
  if (is_utf8(text)) return text;
  notes.push_back({std::string(path), "is not UTF-8; read as Latin-1"});
  std::string out;
  for (unsigned char c : text) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else {
      out += static_cast<char>(0xC0 | (c >> 6));
      out += static_cast<char>(0x80 | (c & 0x3F));
    }
  }
  return out;
}

/// Open minus closed tags, at its deepest: gumbo frees its tree recursively, so a bomb must not reach it.
int nesting_estimate(std::string_view html) {
  int depth = 0, deepest = 0;
  for (std::size_t i = 0; i + 1 < html.size(); ++i) {
    if (html[i] != '<') continue;
    if (html[i + 1] == '/') {
      depth = std::max(0, depth - 1);
    } else if (std::isalpha(static_cast<unsigned char>(html[i + 1]))) {
      static constexpr std::string_view open_ended[] = {"br", "img", "hr", "link", "meta", "input", "col",   "p",
                                                        "li", "td",  "tr", "th",   "dt",   "dd",    "option"};
      std::string name;
      for (std::size_t k = i + 1;
           k < html.size() && std::isalnum(static_cast<unsigned char>(html[k])) && name.size() < 8; ++k)
        name += static_cast<char>(std::tolower(static_cast<unsigned char>(html[k])));
      const auto end = html.find('>', i);
      const bool closed_at_once = end != std::string_view::npos && html[end - 1] == '/';
      if (std::ranges::find(open_ended, name) != std::end(open_ended) || closed_at_once) continue;
      deepest = std::max(deepest, ++depth);
    }
  }
  return deepest;
}

struct Target {
  std::string path;  ///< in the folder; "" when the link leaves it
  std::string anchor;
};
/// Resolves a relative link against the page that holds it; nullopt for other sites and schemes.
std::optional<Target> resolve(std::string_view from, std::string_view href) {
  const auto hash = href.find('#');
  std::string anchor(hash == std::string_view::npos ? "" : href.substr(hash + 1));
  auto path = href.substr(0, hash);
  path = path.substr(0, path.find('?'));
  if (path.contains(':') || path.starts_with("//") || path.starts_with('/')) return std::nullopt;
  auto decoded = url_decode(path, false);
  if (!decoded) return std::nullopt;
  if (decoded->empty()) return Target{std::string(from), std::move(anchor)};
  std::vector<std::string> parts = split(from, '/');
  parts.pop_back();
  for (const auto& part : split(*decoded, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (parts.empty()) return Target{"../", std::move(anchor)};  // leaves the folder: never a file of it
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  std::string joined = join(parts, "/");
  if (decoded->ends_with('/')) joined += (joined.empty() ? "" : "/") + std::string("index.html");
  return Target{std::move(joined), std::move(anchor)};
}

/// Writes one page's body as storage format.
class Converter {
 public:
  Converter(const std::map<std::string, std::string>& files, const std::map<std::string, std::string>& titles,
            const ImportLimits& limits, ImportResult& result, ImportedPage& page)
      : files_(files), titles_(titles), limits_(limits), result_(result), page_(page) {}

  void body(const GumboNode* node) {
    for (const auto* c : children_of(node)) write(c, 0);
    page_.storage = std::move(out_);
  }

 private:
  void note(std::string message) { result_.notes.push_back({page_.path, std::move(message)}); }
  void inside(const GumboNode* node, std::size_t depth) {
    for (const auto* c : children_of(node)) write(c, depth);
  }

  void write(const GumboNode* node, std::size_t depth) {
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE || node->type == GUMBO_NODE_CDATA) {
      out_ += xml_text(node->v.text.text);
      return;
    }
    if (node->type != GUMBO_NODE_ELEMENT) return;
    if (has_class(node, "navheader") || has_class(node, "navfooter")) return;
    const std::string tag = tag_of(node);
    if (tag == "img") return image(attribute(node, "src"), node);
    if (tag == "object" && !attribute(node, "data").empty()) return image(attribute(node, "data"), node);
    if (tag == "nav" || element_dropped_whole(tag)) return;
    if (!title_seen_ && (tag == "h1" || tag == "h2") && equals_ignoring_case(text_of(node), titles_.at(page_.path))) {
      title_seen_ = true;  // the wiki shows the title above the page
      return;
    }
    if (tag == "a") return link(node, depth);
    if (depth >= limits_.nesting || !element_allowed(tag)) return inside(node, depth + 1);
    if (tag == "div")
      for (const auto& [css, macro] :
           {std::pair{"note", "note"}, std::pair{"warning", "warning"}, std::pair{"caution", "warning"},
            std::pair{"tip", "tip"}, std::pair{"important", "info"}})
        if (has_class(node, css)) return panel(node, macro, depth);
    std::string open = '<' + tag;
    const auto& list = node->v.element.attributes;
    for (unsigned i = 0; i < list.length; ++i) {
      const auto* a = static_cast<const GumboAttribute*>(list.data[i]);
      if (auto value = clean_attribute(tag, a->name, a->value))
        open += fmt::format(" {}=\"{}\"", a->name, xml_text(*value));
    }
    if (open == "<span") return inside(node, depth + 1);  // it carried a class only
    out_ += open;
    if (element_void(tag)) {
      out_ += "/>";
      return;
    }
    out_ += '>';
    inside(node, depth + 1);
    out_ += "</" + tag + '>';
  }

  void panel(const GumboNode* node, std::string_view macro, std::size_t depth) {
    out_ += fmt::format("<ac:structured-macro ac:name=\"{}\"><ac:rich-text-body>", macro);
    for (const auto* c : children_of(node)) {
      const bool heading = c->type == GUMBO_NODE_ELEMENT && has_class(c, "title");
      if (!heading) write(c, depth + 3);  // "Note", "Tip": the panel has that title itself
    }
    out_ += "</ac:rich-text-body></ac:structured-macro>";
  }

  void link(const GumboNode* node, std::size_t depth) {
    const auto href = attribute(node, "href");
    const auto id = attribute(node, "id").empty() ? attribute(node, "name") : attribute(node, "id");
    if (!id.empty()) out_ += fmt::format("<span id=\"{}\"></span>", xml_text(anchor_of(id)));
    if (href.empty()) return inside(node, depth + 1);
    const auto target = resolve(page_.path, href);
    if (!target) {
      if (!url_allowed(href) || href.starts_with('/')) {
        note(fmt::format("the link \"{}\" was dropped, its text stays", href.substr(0, 100)));
        return inside(node, depth + 1);
      }
      out_ += fmt::format("<a href=\"{}\">", xml_text(href));
      inside(node, depth + 1);
      out_ += "</a>";
      return;
    }
    const std::string anchor = target->anchor.empty() ? "" : anchor_of(target->anchor);
    if (target->path == page_.path && !anchor.empty()) {
      out_ += fmt::format("<a href=\"#{}\">", xml_text(anchor));
      inside(node, depth + 1);
      out_ += "</a>";
      return;
    }
    std::string open = "<ac:link";
    if (!anchor.empty()) open += fmt::format(" ac:anchor=\"{}\"", xml_text(anchor));
    if (auto page = titles_.find(target->path); page != titles_.end()) {
      open += fmt::format("><ri:page ri:content-title=\"{}\"/>", xml_text(page->second));
    } else if (files_.contains(target->path) && !is_html(target->path)) {
      open += fmt::format("><ri:attachment ri:filename=\"{}\"/>", xml_text(attach(target->path)));
    } else {
      ++result_.broken_links;
      note(fmt::format("links to \"{}\", which is not in the folder; the text stays", href.substr(0, 100)));
      return inside(node, depth + 1);
    }
    ++result_.links;
    out_ += open + "<ac:link-body>";
    inside(node, depth + 2);
    out_ += "</ac:link-body></ac:link>";
  }

  void image(std::string_view source, const GumboNode* node) {
    ++result_.images;
    std::string open = "<ac:image";
    if (auto alt = attribute(node, "alt"); !alt.empty()) open += fmt::format(" ac:alt=\"{}\"", xml_text(alt));
    for (const char* size : {"width", "height"})
      if (auto value = clean_attribute("img", size, attribute(node, size)))
        open += fmt::format(" ac:{}=\"{}\"", size, xml_text(*value));
    if (source.starts_with("http://") || source.starts_with("https://")) {
      out_ += fmt::format("{}><ri:url ri:value=\"{}\"/></ac:image>", open, xml_text(source));
      return;
    }
    const auto target = resolve(page_.path, source);
    if (!target || !files_.contains(target->path) || is_html(target->path)) {
      ++result_.missing_images;
      note(fmt::format("the image \"{}\" is not in the folder; the page goes without it", source.substr(0, 100)));
      out_ += fmt::format("<em>[image {} is missing]</em>", xml_text(source.substr(0, 100)));
      return;
    }
    out_ += fmt::format("{}><ri:attachment ri:filename=\"{}\"/></ac:image>", open, xml_text(attach(target->path)));
  }

  std::string attach(const std::string& path) {
    for (const auto& [name, file] : page_.attachments)
      if (file == path) return name;
    std::string name = path.substr(path.rfind('/') + 1);
    if (page_.attachments.contains(name)) name = replace_all(path, "/", "_");
    page_.attachments.emplace(name, path);
    return name;
  }

  const std::map<std::string, std::string>& files_;
  const std::map<std::string, std::string>& titles_;
  const ImportLimits& limits_;
  ImportResult& result_;
  ImportedPage& page_;
  std::string out_;
  bool title_seen_ = false;
};

/// What the tree needs of one file: read before anything is converted, since links carry titles.
struct Source {
  std::string html;
  PageLinks links;
};

std::string title_in(const GumboNode* root, std::string_view path) {
  for (GumboTag tag : {GUMBO_TAG_TITLE, GUMBO_TAG_H1})
    if (const auto* found = find_tag(root, tag))
      if (auto text = text_of(found); !text.empty()) return text;
  auto name = path.substr(path.rfind('/') + 1);
  return std::string(name.substr(0, name.rfind('.')));
}
void find_links(const GumboNode* node, std::string_view path, PageLinks& links) {
  if (node->type != GUMBO_NODE_ELEMENT) return;
  const auto tag = node->v.element.tag;
  if (tag == GUMBO_TAG_LINK || tag == GUMBO_TAG_A) {
    const auto relation = attribute(node, tag == GUMBO_TAG_LINK ? "rel" : "accesskey");
    if (const auto target = resolve(path, attribute(node, "href")); target && !relation.empty()) {
      if ((relation == "up" || relation == "u") && links.up.empty()) links.up = target->path;
      if ((relation == "next" || relation == "n") && links.next.empty()) links.next = target->path;
    }
  }
  for (const auto* c : children_of(node)) find_links(c, path, links);
}
std::string shortened(std::string title, std::size_t most) {
  if (title.size() <= most) return title;
  title.resize(most);
  while (!title.empty() && !is_utf8(title)) title.pop_back();
  return title;
}

}  // namespace

Result<std::string> safe_relative_path(std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("The name \"{}\" {}; the file was left out.", path.substr(0, 200), why));
  };
  if (path.contains('\0') || !is_utf8(path)) return refuse("is not readable text");
  if (path.starts_with('/')) return refuse("is absolute");
  if (path.contains('\\')) return refuse("has a backslash");
  std::vector<std::string> parts;
  for (auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse("leads out of the folder (\"..\")");
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return refuse("is empty");
  return join(parts, "/");
}

Result<ImportResult> import_html(const std::map<std::string, std::string>& files, ImportLimits limits) {
  ImportResult result;
  std::map<std::string, Source> sources;
  std::map<std::string, std::string> titles;
  std::map<std::string, PageLinks> links;
  std::map<std::string, std::string> kept;  // names only matter for those that may be linked to
  std::map<std::string, std::string> raw_titles;
  for (const auto& [path, bytes] : files) {
    if (auto safe = safe_relative_path(path); !safe || *safe != path) {
      result.notes.push_back({path, safe ? "is an unusual name; the file was left out" : safe.error().message()});
      continue;
    }
    if (bytes.size() > limits.file_bytes) {
      result.notes.push_back({path, fmt::format("has {}, the limit is {}; the file was left out",
                                                human_bytes(bytes.size()), human_bytes(limits.file_bytes))});
      continue;
    }
    kept.emplace(path, "");
    if (!is_html(path)) continue;
    Source source;
    source.html = to_utf8(bytes, path, result.notes);
    if (nesting_estimate(source.html) > 5'000) {
      result.notes.push_back({path, "has elements nested thousands deep; the file was left out"});
      kept.erase(path);
      continue;
    }
    const Parsed parsed(gumbo_parse_with_options(&kGumboDefaultOptions, source.html.data(), source.html.size()));
    raw_titles[path] = shortened(title_in(parsed->root, path), 240);
    find_links(parsed->root, path, links[path]);
    sources.emplace(path, std::move(source));
  }
  if (sources.empty())
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("There is no HTML file among the {} files. Name the folder that holds the pages.", files.size()));

  const auto tree = build_import_tree(links);
  std::set<std::string> taken;
  for (const auto& [path, parent] : tree) {
    std::string title = raw_titles[path];
    for (int n = 2; !taken.insert(to_lower(title)).second; ++n) title = fmt::format("{} ({})", raw_titles[path], n);
    titles.emplace(path, std::move(title));
  }
  for (const auto& [path, parent] : tree) {
    ImportedPage page{path, titles.at(path), {}, parent, {}};
    const auto& html = sources.at(path).html;
    const Parsed parsed(gumbo_parse_with_options(&kGumboDefaultOptions, html.data(), html.size()));
    if (const auto* body = find_tag(parsed->root, GUMBO_TAG_BODY))
      Converter(kept, titles, limits, result, page).body(body);
    if (trim(page.storage).empty()) {
      result.notes.push_back({path, "has no content; an empty page was made"});
      page.storage = "<p></p>";
    }
    result.pages.push_back(std::move(page));
    sources.erase(path);
  }
  return result;
}

}  // namespace afloat::wiki
