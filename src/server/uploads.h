#pragma once
#include <vector>

#include "server/auth.h"
#include "server/context.h"
#include "store/attachment_store.h"

namespace afloat::server {

/// Puts the files among `parts` into the blob store and names them as rows for the page's attachments; the parts
/// fileName, contentType and comment go with the files in order. Errors: invalid_argument without any file.
Task<std::vector<store::UploadedFile>> store_files(Context& context, std::vector<http::Part> parts, Identity writer,
                                                   std::int64_t page_id);

}  // namespace afloat::server
