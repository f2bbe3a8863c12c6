#pragma once
#include <libxml/tree.h>

#include <string>
#include <string_view>

/// Looking at nodes of a parsed body; for the .cc files of this folder.
namespace afloat::wiki {

inline std::string_view name_of(const xmlNode* node) { return reinterpret_cast<const char*>(node->name); }
/// "ac", "ri", or "" for HTML.
inline std::string_view prefix_of(const xmlNode* node) {
  return node->ns && node->ns->prefix ? std::string_view(reinterpret_cast<const char*>(node->ns->prefix))
                                      : std::string_view();
}
inline bool is(const xmlNode* node, std::string_view prefix, std::string_view name) {
  return node->type == XML_ELEMENT_NODE && prefix_of(node) == prefix && name_of(node) == name;
}
inline std::string value_of(const xmlAttr* attribute) {
  std::string out;
  for (const xmlNode* part = attribute->children; part; part = part->next)
    if (part->content) out += reinterpret_cast<const char*>(part->content);
  return out;
}
/// Text of an attribute, whatever its prefix.
inline std::string attribute(const xmlNode* node, std::string_view name) {
  for (const xmlAttr* a = node->properties; a; a = a->next)
    if (name == reinterpret_cast<const char*>(a->name)) return value_of(a);
  return {};
}
inline const xmlNode* child(const xmlNode* node, std::string_view prefix, std::string_view name) {
  for (const xmlNode* c = node->children; c; c = c->next)
    if (is(c, prefix, name)) return c;
  return nullptr;
}
/// 1 to 6 for h1 to h6, else 0.
inline int heading_level(std::string_view name) {
  return name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6' ? name[1] - '0' : 0;
}

}  // namespace afloat::wiki
