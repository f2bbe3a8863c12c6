#include "wiki/render.h"

#include <fmt/core.h>
#include <libxml/tree.h>

#include <map>
#include <set>

#include "base/text.h"
#include "wiki/sanitise.h"
#include "wiki/storage_xml.h"
#include "wiki/xml_node.h"

namespace afloat::wiki {
namespace {

void append_text(const xmlNode* node, std::string& out) {
  for (; node; node = node->next) {
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
      if (node->content) out += reinterpret_cast<const char*>(node->content);
    } else if (node->type == XML_ELEMENT_NODE && !(prefix_of(node) == "ac" && name_of(node) == "parameter")) {
      append_text(node->children, out);
    }
  }
}
std::string text_of(const xmlNode* node) {
  std::string out;
  append_text(node->children, out);
  return out;
}
std::string parameter(const xmlNode* macro, std::string_view name) {
  for (const xmlNode* c = macro->children; c; c = c->next)
    if (is(c, "ac", "parameter") && attribute(c, "name") == name) return text_of(c);
  return {};
}
PageReference page_reference(const xmlNode* page) {
  return {attribute(page, "space-key"), attribute(page, "content-title")};
}
void gather(const xmlNode* node, std::set<PageReference>& pages, std::set<std::string>& attachments) {
  for (; node; node = node->next) {
    if (node->type != XML_ELEMENT_NODE) continue;
    if (is(node, "ri", "page")) pages.insert(page_reference(node));
    if (is(node, "ri", "attachment")) attachments.insert(attribute(node, "filename"));
    gather(node->children, pages, attachments);
  }
}

/// Ids of headings are settled before anything is written, because a toc macro may stand above them.
class HeadingIndex {
 public:
  explicit HeadingIndex(const xmlNode* root) {
    collect_ids(root);
    collect(root);
  }
  const std::vector<Heading>& headings() const { return headings_; }
  const std::string& id_of(const xmlNode* node) const { return ids_.at(node); }

 private:
  void collect_ids(const xmlNode* node) {
    for (; node; node = node->next) {
      if (node->type != XML_ELEMENT_NODE) continue;
      if (auto id = attribute(node, "id"); !id.empty() && prefix_of(node).empty()) used_.insert(anchor_of(id));
      collect_ids(node->children);
    }
  }
  void collect(const xmlNode* node) {
    for (; node; node = node->next) {
      if (node->type != XML_ELEMENT_NODE) continue;
      const int level = prefix_of(node).empty() ? heading_level(name_of(node)) : 0;
      if (level) {
        std::string text(trim(text_of(node)));
        std::string id = attribute(node, "id");
        if (!id.empty()) {
          id = anchor_of(id);
        } else {
          const std::string base = anchor_of(text);
          id = base;
          for (int n = 2; !used_.insert(id).second; ++n) id = fmt::format("{}-{}", base, n);
        }
        ids_.emplace(node, id);
        headings_.push_back({std::move(id), level, std::move(text)});
      }
      collect(node->children);
    }
  }
  std::set<std::string> used_;
  std::map<const xmlNode*, std::string> ids_;
  std::vector<Heading> headings_;
};

std::string contents_html(const std::vector<Heading>& headings, int deepest) {
  std::string out = "<ul class=\"toc\">";
  for (const auto& h : headings)
    if (h.level <= deepest && !h.text.empty())
      out += fmt::format("<li class=\"toc-{}\"><a href=\"#{}\">{}</a></li>", h.level, escape_html(h.id),
                         escape_html(h.text));
  return out + "</ul>";
}

class Renderer {
 public:
  Renderer(const RenderContext& context, const xmlNode* root) : context_(context), headings_(root->children) {
    nodes(root->children);
  }
  Rendered take() && { return {std::move(out_), headings_.headings(), {}, complete_}; }

 private:
  void nodes(const xmlNode* node) {
    for (; node; node = node->next) {
      if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
        if (node->content) out_ += escape_html(reinterpret_cast<const char*>(node->content));
      } else if (node->type == XML_ELEMENT_NODE) {
        const auto prefix = prefix_of(node);
        if (prefix.empty()) {
          html(node);
        } else if (prefix == "ac") {
          confluence(node);
        }
        // ri: elements mean something inside ac: elements only.
      }
    }
  }

  void html(const xmlNode* node) {
    const std::string name = to_lower(name_of(node));
    if (element_dropped_whole(name)) return;
    if (!element_allowed(name)) return nodes(node->children);
    out_ += '<' + name;
    if (heading_level(name) && name == name_of(node)) {
      out_ += fmt::format(" id=\"{}\"", escape_html(headings_.id_of(node)));
    } else if (auto id = attribute(node, "id"); !id.empty()) {
      out_ += fmt::format(" id=\"{}\"", escape_html(anchor_of(id)));
    }
    for (const xmlAttr* a = node->properties; a; a = a->next) {
      const std::string_view key = reinterpret_cast<const char*>(a->name);
      if (a->ns || key == "id") continue;
      if (auto value = clean_attribute(name, key, value_of(a)))
        out_ += fmt::format(" {}=\"{}\"", key, escape_html(*value));
    }
    if (name == "a" && url_leaves_site(attribute(node, "href"))) out_ += " rel=\"noopener noreferrer\"";
    if (name == "img") out_ += " loading=\"lazy\"";
    out_ += '>';
    if (element_void(name)) return;
    // The format writes a date so, without a text.
    if (name == "time" && !node->children) out_ += escape_html(attribute(node, "datetime"));
    nodes(node->children);
    out_ += "</" + name + '>';
  }

  static bool url_leaves_site(std::string_view url) { return url.starts_with("http"); }

  void confluence(const xmlNode* node) {
    const auto name = name_of(node);
    if (name == "link") return link(node);
    if (name == "image") return image(node);
    if (name == "structured-macro" || name == "macro") return macro(node);
    if (name == "task-list") return wrap("ul", "task-list", node);
    if (name == "task") return task(node);
    if (name == "emoticon") {
      out_ += escape_html(attribute(node, "emoji-fallback"));
      return;
    }
    if (name == "parameter" || name == "placeholder") return;
    nodes(node->children);  // layouts, link bodies, rich text bodies: only what is inside
  }

  void wrap(std::string_view element, std::string_view css, const xmlNode* node) {
    out_ += fmt::format("<{} class=\"{}\">", element, css);
    nodes(node->children);
    out_ += fmt::format("</{}>", element);
  }

  void task(const xmlNode* node) {
    const auto* status = child(node, "ac", "task-status");
    const bool done = status && trim(text_of(status)) == "complete";
    out_ += fmt::format("<li class=\"task{}\"><span class=\"task-box\">{}</span> ", done ? " task-done" : "",
                        done ? "&#9745;" : "&#9744;");
    if (const auto* body = child(node, "ac", "task-body")) nodes(body->children);
    out_ += "</li>";
  }

  void link_body(const xmlNode* node, const std::string& fallback) {
    const auto before = out_.size();
    if (const auto* rich = child(node, "ac", "link-body")) nodes(rich->children);
    if (const auto* plain = child(node, "ac", "plain-text-link-body")) out_ += escape_html(text_of(plain));
    if (out_.size() == before) out_ += escape_html(fallback);
  }

  void link(const xmlNode* node) {
    std::string anchor = attribute(node, "anchor");
    if (!anchor.empty()) anchor = "#" + anchor_of(anchor);
    std::string url, css, fallback = anchor.empty() ? "link" : anchor.substr(1);
    if (const auto* page = child(node, "ri", "page")) {
      auto reference = page_reference(page);
      fallback = reference.title;
      auto found = context_.page_url ? context_.page_url(reference) : std::nullopt;
      if (found) {
        url = *found + anchor;
      } else {
        complete_ = false;
        css = " class=\"missing\"";
        if (context_.new_page_url) url = context_.new_page_url(reference);
      }
    } else if (const auto* file = child(node, "ri", "attachment")) {
      fallback = attribute(file, "filename");
      auto found = context_.attachment_url ? context_.attachment_url(fallback) : std::nullopt;
      if (found) {
        url = *found;
      } else {
        complete_ = false;
        css = " class=\"missing\"";
      }
    } else if (const auto* target = child(node, "ri", "url")) {
      const auto value = attribute(target, "value");
      fallback = value;
      if (url_allowed(value)) url = value;
    } else {
      url = anchor;
    }
    if (url.empty()) {
      out_ += fmt::format("<span{}>", css);
      link_body(node, fallback);
      out_ += "</span>";
      return;
    }
    out_ += fmt::format("<a href=\"{}\"{}>", escape_html(url), css);
    link_body(node, fallback);
    out_ += "</a>";
  }

  void image(const xmlNode* node) {
    std::string url, label = attribute(node, "alt");
    if (const auto* file = child(node, "ri", "attachment")) {
      const auto name = attribute(file, "filename");
      if (label.empty()) label = name;
      if (auto found = context_.attachment_url ? context_.attachment_url(name) : std::nullopt) url = *found;
    } else if (const auto* external = child(node, "ri", "url")) {
      const auto value = attribute(external, "value");
      if (url_allowed(value)) url = value;
    }
    if (url.empty()) {
      complete_ = false;
      out_ += fmt::format("<span class=\"missing\">[image {} is missing]</span>", escape_html(label));
      return;
    }
    out_ += fmt::format("<img src=\"{}\" alt=\"{}\" loading=\"lazy\"", escape_html(url), escape_html(label));
    for (std::string_view size : {"width", "height"})
      if (auto value = clean_attribute("img", size, attribute(node, size)))
        out_ += fmt::format(" {}=\"{}\"", size, escape_html(*value));
    out_ += '>';
  }

  void macro(const xmlNode* node) {
    const auto name = attribute(node, "name");
    const auto* rich = child(node, "ac", "rich-text-body");
    const auto* plain = child(node, "ac", "plain-text-body");
    if (name == "code" || name == "noformat") {
      if (auto title = parameter(node, "title"); !title.empty())
        out_ += fmt::format("<p class=\"code-title\">{}</p>", escape_html(title));
      out_ += fmt::format("<pre class=\"code\"><code>{}</code></pre>", plain ? escape_html(text_of(plain)) : "");
    } else if (name == "info" || name == "note" || name == "warning" || name == "tip" || name == "panel") {
      out_ += fmt::format("<div class=\"panel panel-{}\">", name);
      auto title = parameter(node, "title");
      if (title.empty() && name != "panel") title = static_cast<char>(name[0] - 'a' + 'A') + name.substr(1);
      if (!title.empty()) out_ += fmt::format("<p class=\"panel-title\">{}</p>", escape_html(title));
      if (rich) nodes(rich->children);
      out_ += "</div>";
    } else if (name == "toc") {
      const auto deepest = parse_int(parameter(node, "maxLevel")).value_or(3);
      out_ += contents_html(headings_.headings(), static_cast<int>(deepest));
    } else if (name == "anchor") {
      out_ += fmt::format("<span id=\"{}\"></span>", escape_html(anchor_of(parameter(node, ""))));
    } else if (name == "expand") {
      auto title = parameter(node, "title");
      out_ += fmt::format("<details><summary>{}</summary>", escape_html(title.empty() ? "More" : title));
      if (rich) nodes(rich->children);
      out_ += "</details>";
    } else if (name == "status") {
      out_ += fmt::format("<span class=\"status\">{}</span>", escape_html(parameter(node, "title")));
    } else {
      out_ += fmt::format("<div class=\"macro-unknown\"><p>Macro \"{}\" is not available here.</p>",
                          escape_html(name.empty() ? "without a name" : name));
      if (rich) nodes(rich->children);
      if (plain) out_ += fmt::format("<pre>{}</pre>", escape_html(text_of(plain)));
      out_ += "</div>";
    }
  }

  const RenderContext& context_;
  HeadingIndex headings_;
  std::string out_;
  bool complete_ = true;
};

}  // namespace

References references_in(std::string_view storage) {
  References out;
  auto document = StorageDocument::parse(storage);
  if (!document) return out;
  std::set<PageReference> pages;
  std::set<std::string> attachments;
  gather(document->root()->children, pages, attachments);
  out.pages.assign(pages.begin(), pages.end());
  out.attachments.assign(attachments.begin(), attachments.end());
  return out;
}

Result<Rendered> render_storage(std::string_view storage, const RenderContext& context) {
  auto document = StorageDocument::parse(storage);
  if (!document) return std::unexpected(document.error());
  Rendered rendered = Renderer(context, document->root()).take();
  rendered.plain_text = plain_text(storage);
  return rendered;
}

}  // namespace afloat::wiki
