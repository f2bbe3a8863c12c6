#include "wiki/storage_xml.h"

#include <fmt/core.h>
#include <libxml/HTMLparser.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include <array>
#include <mutex>
#include <utility>

#include "base/text.h"
#include "wiki/sanitise.h"

namespace afloat::wiki {
namespace {

constexpr std::size_t max_storage_bytes = 5'000'000;
constexpr std::string_view wrapper_begin = "<afloat-storage xmlns:ac=\"urn:ac\" xmlns:ri=\"urn:ri\">";
constexpr std::string_view wrapper_end = "</afloat-storage>";

void init_libxml() {
  static std::once_flag once;
  std::call_once(once, [] { xmlInitParser(); });
}

bool predefined(std::string_view name) {
  return name == "amp" || name == "lt" || name == "gt" || name == "quot" || name == "apos";
}

Error describe(const xmlError* error) {
  std::string what = error && error->message ? std::string(trim(error->message)) : "unknown fault";
  what = replace_all(std::move(what), "afloat-storage", "end of the page");
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("The page is not well-formed XHTML, line {}: {}. Close and nest the tags properly, write & as "
                  "&amp; and a < that begins no tag as &lt;, then save again.",
                  error ? error->line : 1, what));
}

void gather_text(const xmlNode* node, std::string& out) {
  for (; node; node = node->next) {
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
      if (node->content) out += reinterpret_cast<const char*>(node->content);
      continue;
    }
    if (node->type != XML_ELEMENT_NODE) continue;
    const std::string_view name = reinterpret_cast<const char*>(node->name);
    const bool foreign = node->ns && node->ns->prefix;
    // Parameters of macros and states of tasks are settings, not words of the page; titles of linked pages are
    // attributes anyway.
    if (foreign && (name == "parameter" || name == "task-id" || name == "task-status")) continue;
    if (!foreign && element_dropped_whole(name)) continue;
    const bool block =
        foreign ? name == "structured-macro" || name == "plain-text-body" || name == "task" : element_block(name);
    if (block && !out.empty() && out.back() != '\n') out += '\n';
    gather_text(node->children, out);
    if (block && !out.empty() && out.back() != '\n') out += '\n';
  }
}

/// Last resort for text that is not well-formed.
std::string cut_tags(std::string_view storage) {
  std::string out;
  bool inside = false;
  for (char c : storage) {
    if (c == '<') {
      inside = true;
      out += ' ';
    } else if (c == '>' && inside) {
      inside = false;
    } else if (!inside) {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string substitute_entities(std::string_view storage) {
  std::string out;
  out.reserve(storage.size() + 64);
  std::size_t at = 0;
  while (at < storage.size()) {
    const auto next = storage.find_first_of("&<", at);
    if (next == std::string_view::npos) break;
    out.append(storage.substr(at, next - at));
    at = next;
    if (storage[at] == '<') {
      const auto rest = storage.substr(at);
      std::string_view end;
      if (rest.starts_with("<![CDATA[")) end = "]]>";
      if (rest.starts_with("<!--")) end = "-->";
      const auto stop = end.empty() ? std::string_view::npos : rest.find(end);
      const auto length = end.empty() ? 1 : stop == std::string_view::npos ? rest.size() : stop + end.size();
      out.append(rest.substr(0, length));
      at += length;
      continue;
    }
    const auto semicolon = storage.substr(at, 12).find(';');
    if (semicolon != std::string_view::npos && semicolon > 1) {
      const std::string name(storage.substr(at + 1, semicolon - 1));
      const auto* entity = name[0] == '#' || predefined(name)
                               ? nullptr
                               : htmlEntityLookup(reinterpret_cast<const xmlChar*>(name.c_str()));
      if (entity) {
        out += fmt::format("&#{};", entity->value);
        at += semicolon + 1;
        continue;
      }
    }
    out += '&';
    ++at;
  }
  if (at < storage.size()) out.append(storage.substr(at));
  return out;
}

Result<StorageDocument> StorageDocument::parse(std::string_view storage) {
  init_libxml();
  if (!is_utf8(storage))
    return fail(ErrorKind::invalid_argument, "The page is not valid UTF-8 text. Send it encoded as UTF-8.");
  std::string text(wrapper_begin);
  text += substitute_entities(storage);
  text += wrapper_end;
  xmlParserCtxt* parser = xmlNewParserCtxt();
  if (!parser) throw std::bad_alloc();
  // No XML_PARSE_NOENT and no XML_PARSE_HUGE: libxml2's own limits on depth and expansion stay in force.
  xmlDoc* document = xmlCtxtReadMemory(parser, text.data(), static_cast<int>(text.size()), nullptr, "UTF-8",
                                       XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  // Namespace faults (an undeclared prefix) leave a tree behind, but it is not what the writer meant.
  const bool sound = document && parser->wellFormed && parser->nsWellFormed;
  if (!sound) {
    Error error = describe(xmlCtxtGetLastError(parser));
    if (document) xmlFreeDoc(document);
    xmlFreeParserCtxt(parser);
    return std::unexpected(std::move(error));
  }
  xmlFreeParserCtxt(parser);
  return StorageDocument(document);
}

StorageDocument::StorageDocument(StorageDocument&& other) noexcept
    : document_(std::exchange(other.document_, nullptr)) {}
StorageDocument& StorageDocument::operator=(StorageDocument&& other) noexcept {
  std::swap(document_, other.document_);
  return *this;
}
StorageDocument::~StorageDocument() {
  if (document_) xmlFreeDoc(document_);
}
const _xmlNode* StorageDocument::root() const { return xmlDocGetRootElement(document_); }

Result<void> check_storage(std::string_view storage) {
  if (storage.size() > max_storage_bytes)
    return fail(ErrorKind::resource_exhausted,
                fmt::format("The page has {}, the limit is {}. Split it into several pages.",
                            human_bytes(storage.size()), human_bytes(max_storage_bytes)));
  auto document = StorageDocument::parse(storage);
  if (!document) return std::unexpected(document.error());
  return {};
}

std::string plain_text(std::string_view storage) {
  auto document = StorageDocument::parse(storage);
  if (!document) return cut_tags(storage);
  std::string out;
  gather_text(document->root()->children, out);
  return out;
}

}  // namespace afloat::wiki
