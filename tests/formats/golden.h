#pragma once
#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// What a release wrote for whoever comes after it, or works beside it, one document each in
/// tests/formats/golden/VERSION/NAME.json. README.md there says how they were made.
namespace afloat::formats {

struct Document {
  std::string_view name;
  std::string_view what;                    ///< who writes it, and who reads it in an upgrade
  std::vector<std::string_view> maps = {};  ///< paths whose names are data: json_shape.h
};
const std::vector<Document>& documents();

/// A difference between two releases that no reader meets.
struct Allowed {
  std::string_view version;  ///< that made it
  std::string_view document;
  std::string_view line;  ///< as shape_breaks() says it
  std::string_view why;
};
const std::vector<Allowed>& allowed();

/// Releases that have documents, lowest first; the last may be the one under development.
std::vector<std::string> golden_versions();
/// Errors: not_found when that release wrote no such document, data_corrupted.
Result<boost::json::value> golden(std::string_view version, std::string_view name);
std::string golden_file(std::string_view version, std::string_view name);

/// Indented, so that changes can be reviewed.
std::string pretty(const boost::json::value& value);

}  // namespace afloat::formats
