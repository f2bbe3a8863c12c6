#pragma once
#include <boost/json/fwd.hpp>
#include <string>

/// The answer of GET /rest/afloat/1/checks for people and for exit codes. Pure.
namespace afloat::cli {

/// One line per check by group, worst first; all that is not pass in full below, with what to do.
std::string checks_text(const boost::json::object& answer);
/// 3 downtime needed, 4 a check failed, 0 otherwise; 3 where both are so.
int checks_code(const boost::json::object& answer);

}  // namespace afloat::cli
