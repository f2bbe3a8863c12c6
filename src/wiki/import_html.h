#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

/// Turns a folder of HTML files into a tree of pages in storage format. Pure over the files' bytes; slow
/// (about 1 ms per page), so call it off the event loop.
namespace afloat::wiki {

struct ImportNote {
  std::string path;
  std::string message;  ///< what was found and what was done about it
};
struct ImportedPage {
  std::string path;     ///< in the folder
  std::string title;    ///< unique in this import, without regard to case
  std::string storage;  ///< well-formed
  std::string parent;   ///< path of the parent page; "" at the top
  /// Attachment's file name on this page -> path in the folder.
  std::map<std::string, std::string> attachments;
};
struct ImportResult {
  std::vector<ImportedPage> pages;  ///< parents before their children, siblings in reading order
  std::vector<ImportNote> notes;
  int links = 0, broken_links = 0, images = 0, missing_images = 0;
};
struct ImportLimits {
  std::size_t file_bytes = 20'000'000;  ///< larger files are left out, with a note
  std::size_t nesting = 200;            ///< deeper elements are unwrapped
};
/// `path` as a clean relative path with '/'. Errors: invalid_argument for "..", absolute names, NUL, backslashes.
Result<std::string> safe_relative_path(std::string_view path);
/// Errors: invalid_argument when there is no HTML file at all. Everything else is a note.
/// Tree: <link rel="up"> or <a accesskey="u"> where pages have them, else folders and their index.html.
Result<ImportResult> import_html(const std::map<std::string, std::string>& files, ImportLimits limits = {});

}  // namespace afloat::wiki
