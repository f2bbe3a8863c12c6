#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/context.h"
#include "store/draft_store.h"

namespace afloat::server {

/// Where the script of the edit form keeps drafts: /drafts/pages/{id} or /drafts/spaces/{key}?parent=, and `form=`,
/// which the script adds itself. PUT saves, DELETE removes, POST removes too and leads back to the form, for browsers
/// without scripts.
std::string drafts_url(const store::DraftPlace& place);
std::string draft_url(const store::DraftPlace& place, std::string_view form);
/// Where its writer goes on with it.
std::string continue_url(const store::DraftPlace& place, std::string_view form);
/// As typed, or words for none.
std::string shown_title(const store::DraftSummary& draft);
/// A word for a form that is opened now.
std::string new_form_word();
/// True for what can be such a word: up to 40 letters and digits.
bool is_form_word(std::string_view word);
/// After a save, or to discard: a draft that could not be removed is no reason to fail what was done.
Async<void> forget_draft(Context& context, store::DraftPlace place, std::string form, Deadline deadline);

}  // namespace afloat::server
