#pragma once
#include <string_view>

#include "store/search_store.h"

namespace afloat::server {

/// What a CQL text asks for.
struct CqlQuery {
  store::SearchQuery search;
  bool nothing = false;  ///< a type that is not kept here: no results
};
/// Conditions joined with "and", and "order by": type, space, title, text, siteSearch, label, ancestor, id.
/// Values are bare words or in single or double quotes; those of title, text and siteSearch with ~ are what
/// store/search_terms.h understands, so vac* is the beginning of a word. Pure. Errors: invalid_argument naming what was not understood.
Result<CqlQuery> parse_cql(std::string_view text);

}  // namespace afloat::server
