#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/zip.h"
#include "server/config.h"

/// What a support zip is made of: what somebody needs who is to help and has no access to the site. Pure.
namespace afloat::server {

struct SupportFile {
  std::string path, content;
  std::string about;  ///< a line for contents.txt
};

/// The configuration as this program understands it, as TOML: without comments, without values of keys that it does
/// not know, and of the database's connection string only where the database is.
std::string config_without_secrets(const SiteConfig& site);

/// `text` with *** for each of the secrets that is long enough (8 bytes) not to be a common word.
std::string scrubbed(std::string text, const std::vector<std::string>& secrets);

/// The files with contents.txt before them, which begins with `head` and lists each; all of them scrubbed.
std::vector<files::ZipFile> with_contents(std::string head, const std::vector<SupportFile>& files,
                                          const std::vector<std::string>& secrets);

}  // namespace afloat::server
