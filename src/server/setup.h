#pragma once
#include "server/context.h"

/// The first run of a site: as long as nobody has an account, nobody could sign in, so pages lead to /setup.
namespace afloat::server {

/// Whether there is an account. Asks the database only as long as there is none: an account is never the last one to go.
Task<bool> is_set_up(Context& context, Deadline deadline);

/// A space with a few pages that show how things are done here, for whoever has just set the site up. Its key is
/// WELCOME. Errors: those of store::create_space and store::create_pages.
Task<void> make_sample_space(Context& context, std::int64_t author, Deadline deadline);

}  // namespace afloat::server
