#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/context.h"
#include "store/draft_store.h"

namespace afloat::server {

/// Where the script of the edit form keeps a draft: /drafts/pages/{id} or /drafts/spaces/{key}?parent=. PUT saves,
/// DELETE removes, POST removes too and leads back to the form, for browsers without scripts.
std::string draft_url(const store::DraftPlace& place);
/// Where its writer goes on with it.
std::string continue_url(const store::DraftPlace& place);
/// After a save, or to discard: a draft that could not be removed is no reason to fail what was done.
Async<void> forget_draft(Context& context, store::DraftPlace place, Deadline deadline);

}  // namespace afloat::server
