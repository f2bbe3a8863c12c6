#pragma once
#include "adapters/http/router.h"
#include "server/context.h"

/// The wire contract that existing clients know. `router` and `context` outlive every request.
namespace afloat::server {

void add_content_routes(http::Router& router, Context& context);     ///< /rest/api/content: pages, versions, labels
void add_attachment_routes(http::Router& router, Context& context);  ///< .../child/attachment and /download/attachments
void add_space_routes(http::Router& router, Context& context);       ///< /rest/api/space
void add_search_routes(http::Router& router, Context& context);      ///< /rest/api/search, /rest/api/content/search
void add_user_routes(http::Router& router, Context& context);        ///< /rest/api/user, /rest/api/admin/user
void add_account_routes(http::Router& router, Context& context);     ///< /rest/afloat/1/users, /rest/api/group
void add_longtask_routes(http::Router& router, Context& context);    ///< /rest/api/longtask

}  // namespace afloat::server
