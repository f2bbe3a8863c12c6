#include "cli/newest_view.h"

#include "base/json_fields.h"
#include "version/version.h"

namespace afloat::cli {

namespace json = boost::json;

namespace {

/// Of the node that answered; those before 1.2.0 don't tell.
std::int64_t build_of(const json::object& run) { return int_or(run, "node_build"); }

}  // namespace

bool NewestView::ask_again(const json::object& run) const {
  if (build_of(run) < build_of(newest_)) return true;
  const auto to = version::parse_version(string_or(run, "to"));
  const bool mixed = int_or(run, "mode_on_at_ms") > 0 && int_or(run, "ended_at_ms") == 0;
  return newest_.empty() && mixed && to && build_of(run) < version::build_number(*to);
}

json::object NewestView::filled(json::object run) {
  if (newest_.empty() || build_of(run) >= build_of(newest_) || int_or(run, "id") != int_or(newest_, "id")) {
    newest_ = run;
    return run;
  }
  // The state, the message and the steps are the older node's own: it reads the same rows.
  for (const auto& [field, value] : newest_)
    if (!run.contains(field) && field != "node_build") run[field] = value;
  return run;
}

}  // namespace afloat::cli
