#pragma once
#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/load_http.h"

/// What each kind of request must get. A check returns "" when the answer is exactly right, else a failure
/// text whose word before the colon is its kind: status, redirect, type, content (and from the wire: reset,
/// truncated, timeout, connect).
namespace afloat::cli {

/// Complete, 200, and of this media type.
std::string check_answer(const Answer& answer, std::string_view media_type);
/// An HTML page for signed-in users: whole, and not the sign-in form.
std::string check_html(const Answer& answer);
/// check_answer for JSON; fills `out` with the object.
std::string check_json(const Answer& answer, boost::json::object& out);
/// A list with at least `at_least` results.
std::string check_list(const Answer& answer, std::size_t at_least);
/// A page as the REST API answers it, with this version and title.
std::string check_page(const Answer& answer, int version, std::string_view title, std::string& id);

/// Every body that the load writes carries marker + "v" + write number + "z".
std::string marker_text(std::string_view marker, int number);
/// The highest write number of `marker` in `text`; nullopt when it is not there.
std::optional<int> find_marker(std::string_view text, std::string_view marker);
/// `text` must show write `least` of `marker` or a newer one.
std::string check_marker(std::string_view text, std::string_view marker, int least);

/// Longest run of ASCII letters and digits, which survives every way of escaping.
std::string_view plain_word(std::string_view title);

}  // namespace afloat::cli
