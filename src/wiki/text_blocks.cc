#include "wiki/text_blocks.h"

#include <fmt/core.h>

#include "base/text.h"
#include "wiki/sanitise.h"
#include "wiki/storage_xml.h"
#include "wiki/xml_node.h"

namespace afloat::wiki {
namespace {

bool blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/// Changed by editors with each save; nobody sees them.
bool volatile_attribute(std::string_view name) {
  return name == "macro-id" || name == "local-id" || name == "schema-version";
}

class Blocks {
 public:
  std::vector<TextBlock> read(const xmlNode* root) {
    nodes(root->children, {});
    flush();
    return std::move(blocks_);
  }

 private:
  /// Where the text below a node belongs.
  struct Place {
    BlockKind kind = BlockKind::paragraph;
    int level = 0;
    bool in_row = false;  ///< of a table: whatever stands in a cell stays in the row's block
  };

  void nodes(const xmlNode* node, const Place& place) {
    for (; node; node = node->next) {
      if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
        if (node->content) text(reinterpret_cast<const char*>(node->content), place);
      } else if (node->type == XML_ELEMENT_NODE) {
        prefix_of(node).empty() ? html(node, place) : confluence(node, place);
      }
    }
  }

  void html(const xmlNode* node, Place place) {
    const auto name = name_of(node);
    if (element_dropped_whole(name)) return;
    if (name == "br") return place.kind == BlockKind::code_line ? text("\n", place) : text(" ", place);
    if (name == "img") {
      const auto label = attribute(node, "alt");
      mark(node);
      return text(fmt::format("[image: {}]", label.empty() ? attribute(node, "src") : label), place);
    }
    if (!element_block(name)) {
      mark(node);
      nodes(node->children, place);
      return mark_end();
    }
    if (place.in_row) {
      if (name == "td" || name == "th") return cell(node, place);
      text(" ", place);
      nodes(node->children, place);
      return text(" ", place);
    }
    if (const int level = heading_level(name)) {
      place = {BlockKind::heading, level, false};
    } else if (name == "ul" || name == "ol") {
      place.level = place.kind == BlockKind::list_item ? place.level : 0;
    } else if (name == "li") {
      place = {BlockKind::list_item, place.level + 1, false};
    } else if (name == "tr") {
      place = {BlockKind::table_row, 0, true};
    } else if (name == "pre") {
      place = {BlockKind::code_line, 0, false};
    }
    flush();
    at_ = place;
    if (name == "li" && node->parent) form(name_of(node->parent));
    nodes(node->children, place);
    flush();
  }

  void cell(const xmlNode* node, const Place& place) {
    if (cells_++ > 0) raw(" | ");
    form(name_of(node));
    nodes(node->children, place);
  }

  void confluence(const xmlNode* node, Place place) {
    const auto name = name_of(node);
    if (name == "parameter" || name == "placeholder" || name == "task-id" || name == "task-status") return;
    if (name == "structured-macro" || name == "macro") return macro(node, place);
    if (name == "task" && !place.in_row) {
      flush();
      place = {BlockKind::list_item, 1, false};
      at_ = place;
      const auto* status = child(node, "ac", "task-status");
      raw(status && status->children && status->children->content &&
                  trim(reinterpret_cast<const char*>(status->children->content)) == "complete"
              ? "[x] "
              : "[ ] ");
      nodes(node->children, place);
      return flush();
    }
    mark(node);
    if (name == "image") {
      text(fmt::format("[image: {}]", target(node)), place);
    } else if (name == "link" && !child(node, "ac", "link-body") && !child(node, "ac", "plain-text-link-body")) {
      text(target(node), place);
    } else if (name == "emoticon") {
      text(attribute(node, "emoji-fallback"), place);
    }
    nodes(node->children, place);
    mark_end();
  }

  /// What a link or an image points at, as the reader of a text would name it.
  static std::string target(const xmlNode* node) {
    if (const auto* page = child(node, "ri", "page")) return attribute(page, "content-title");
    if (const auto* file = child(node, "ri", "attachment")) return attribute(file, "filename");
    if (const auto* url = child(node, "ri", "url")) return attribute(url, "value");
    return attribute(node, "anchor");
  }

  void macro(const xmlNode* node, Place place) {
    std::string head = attribute(node, "name");
    for (const xmlNode* c = node->children; c; c = c->next)
      if (is(c, "ac", "parameter") && c->children && c->children->content) {
        const auto key = attribute(c, "name");
        head +=
            fmt::format(" {}{}{}", key, key.empty() ? "" : "=", reinterpret_cast<const char*>(c->children->content));
      }
    head = "[" + head + "]";
    const auto* plain = child(node, "ac", "plain-text-body");
    const auto* rich = child(node, "ac", "rich-text-body");
    if (!plain && !rich) return text(head, place);
    if (place.in_row) {
      text(" " + head + " ", place);
      return nodes((plain ? plain : rich)->children, place);
    }
    flush();
    at_ = {BlockKind::macro, 0, false};
    text(head, at_);
    flush();
    if (plain) place = {BlockKind::code_line, 0, false};
    at_ = place;
    nodes((plain ? plain : rich)->children, place);
    flush();
  }

  void text(std::string_view words, const Place& place) {
    if (now_.text.empty()) at_ = place;
    if (place.kind == BlockKind::code_line) {
      for (char c : words) {
        if (c == '\n')
          end_line();
        else if (c != '\r')
          now_.text += c;
      }
      return;
    }
    for (char c : words) {
      if (!blank(c))
        now_.text += c;
      else if (!now_.text.empty() && now_.text.back() != ' ')
        now_.text += ' ';
    }
  }
  void raw(std::string_view words) { now_.text += words; }

  void form(std::string_view what) {
    // FNV-1a; equal marks decide only whether a reader is told that the formatting has changed.
    for (unsigned char c : what) now_.form = (now_.form ^ c) * 1099511628211ull;
    now_.form = (now_.form ^ now_.text.size() ^ 0xff00) * 1099511628211ull;
  }
  void mark(const xmlNode* node) {
    form(name_of(node));
    for (const xmlAttr* a = node->properties; a; a = a->next) {
      const std::string_view name = reinterpret_cast<const char*>(a->name);
      if (volatile_attribute(name)) continue;
      form(name);
      form(value_of(a));
    }
  }
  void mark_end() { form("/"); }

  void flush() {
    if (at_.kind != BlockKind::code_line) now_.text = std::string(trim(now_.text));
    if (now_.text.find_first_not_of(" |") != std::string::npos) push();
    now_ = {};
    cells_ = 0;
  }
  /// Of code: an empty line counts between others, not before the first.
  void end_line() {
    if (!now_.text.empty() || (!blocks_.empty() && blocks_.back().kind == BlockKind::code_line)) push();
    now_ = {};
  }
  void push() {
    now_.kind = at_.kind;
    now_.level = at_.level;
    blocks_.push_back(std::move(now_));
  }

  std::vector<TextBlock> blocks_;
  TextBlock now_;
  Place at_;
  int cells_ = 0;
};

}  // namespace

std::vector<TextBlock> text_blocks(std::string_view storage) {
  if (auto document = StorageDocument::parse(storage)) return Blocks().read(document->root());
  std::vector<TextBlock> blocks;
  for (const auto& line : split(plain_text(storage), '\n'))
    if (const auto text = trim(line); !text.empty()) blocks.push_back({BlockKind::paragraph, 0, std::string(text), 0});
  return blocks;
}

}  // namespace afloat::wiki
