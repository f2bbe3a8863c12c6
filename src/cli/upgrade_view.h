#pragma once
#include <boost/json/fwd.hpp>
#include <string>

/// What people read of an upgrade run; from the JSON that REST gives.
namespace afloat::cli {

/// It waits for a person before it finalizes; by its step, which nodes of any release tell.
bool is_held(const boost::json::object& run);

/// "  12.3 s  node2: drain  done  nothing in flight"
std::string step_line(const boost::json::object& run, const boost::json::object& step);
/// A run as one looks on at it: bar, time left, a line for each node that was begun, what is awaited. At most 80 columns.
std::string watch_text(const boost::json::object& run);
/// Heading, message, every step: `upgrade status`.
std::string status_text(const boost::json::object& run);
/// Closing summary: per node figures, duration, outcome: `upgrade report`.
std::string report_text(const boost::json::object& run);
/// One upgrade task of the cluster's state: "1.1.0/body-store/backfill  running  1200 of 5000 rows".
std::string task_line(const boost::json::object& task);
/// Checks and steps of a dry run: `upgrade plan`.
std::string plan_text(const boost::json::object& plan);

}  // namespace afloat::cli
