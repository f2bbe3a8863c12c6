#pragma once
#include <map>
#include <string>
#include <vector>

#include "support/support.h"

/// Reading this repository's own pages.
namespace afloat::test {

/// Text of a file of the source tree; fails the test when it is not there.
std::string read_page(const std::string& path);
/// Text of any file; fails the test when it is not there.
std::string read_file(const std::string& path);
/// Its ```bash blocks, in order, each with the line end of its last line.
std::vector<std::string> shell_blocks(const std::string& page);
/// Node name -> version, as the site tells.
std::map<std::string, std::string> versions_of(SiteFixture& site);

}  // namespace afloat::test
