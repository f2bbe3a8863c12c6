#pragma once
#include <map>
#include <string>
#include <vector>

#include "adapters/http/router.h"
#include "server/context.h"
#include "wiki/import_html.h"

namespace afloat::server {

/// Unpacks a tar (zstd, gzip or plain) into memory. Entries with unsafe names, links and devices, and
/// files beyond the limits are left out with a note. Blocking: call it off the event loop.
/// Errors: invalid_argument when it is not an archive; resource_exhausted above `total_bytes`.
struct UnpackedImport {
  std::map<std::string, std::string> files;
  std::vector<wiki::ImportNote> notes;
};
Result<UnpackedImport> unpack_import(const std::string& archive, wiki::ImportLimits limits = {},
                                     std::size_t total_bytes = 512'000'000);

/// POST /rest/afloat/1/imports?space=KEY&name=N: a folder of HTML as application/zstd, administrators only.
/// 202 {"id","links":{"status"}}: a long task on this node.
void add_import_routes(http::Router& router, Context& context);

}  // namespace afloat::server
