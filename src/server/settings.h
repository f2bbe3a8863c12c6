#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"

namespace afloat::server {

/// One key of site.toml as people read it.
struct Setting {
  std::string_view group;  ///< a heading: "Site", "Limits and times", ...
  std::string_view key;
  std::string value;  ///< "" = not given. Of the database only where it is: no user, no password
  std::string_view about;
};
/// What is in force of the site's own part, without its nodes and hosts. Pure.
std::vector<Setting> settings_of(const SiteConfig& site);

}  // namespace afloat::server
