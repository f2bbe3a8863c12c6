#pragma once
#include <span>
#include <string_view>

namespace afloat::store {

/// The tables of 1.0.0, as plain statements in order; run once, in the bootstrap transaction of an empty
/// database. Later releases change the schema by upgrade tasks only (store/tasks), which a fresh
/// database runs as well, so that both ways end in the same schema.
std::span<const std::string_view> cluster_schema();
std::span<const std::string_view> content_schema();
std::span<const std::string_view> run_schema();

}  // namespace afloat::store
