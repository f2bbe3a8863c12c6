#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct _xmlDoc;
struct _xmlNode;

/// Reading of the storage format: an XHTML fragment with the ac: (macros, links, images) and ri:
/// (resource identifiers) namespaces. Pure; thread-safe.
namespace afloat::wiki {

/// A parsed page body. The tree is read-only and lives as long as this object.
class StorageDocument {
 public:
  /// Named HTML entities are accepted; document types, undeclared prefixes and anything that is not
  /// well-formed are not. Errors: invalid_argument that names the line and says what is wrong there.
  static Result<StorageDocument> parse(std::string_view storage);
  StorageDocument(StorageDocument&&) noexcept;
  StorageDocument& operator=(StorageDocument&&) noexcept;
  ~StorageDocument();
  /// The wrapper element whose children are the page.
  const _xmlNode* root() const;

 private:
  explicit StorageDocument(_xmlDoc* document) : document_(document) {}
  _xmlDoc* document_ = nullptr;
};

/// Whether `storage` may be saved: UTF-8, well-formed, at most 5 MB. Errors as parse(); resource_exhausted when too
/// big.
Result<void> check_storage(std::string_view storage);
/// The words of a page, for the search index and excerpts: block ends become newlines, code bodies are
/// kept. What does not parse gives its text with the tags cut out, so an index never fails.
std::string plain_text(std::string_view storage);
/// &nbsp; and the like as numeric references, CDATA sections and comments left alone; unknown names stay.
std::string substitute_entities(std::string_view storage);

}  // namespace afloat::wiki
