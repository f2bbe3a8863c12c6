#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Small text helpers that the standard library lacks. All pure, all reentrant.
namespace afloat {

std::string_view trim(std::string_view text);
/// Splits at every `separator`; "a,,b" gives three parts, "" gives one empty part.
std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string to_lower(std::string_view ascii);
bool equals_ignoring_case(std::string_view a, std::string_view b);
std::string replace_all(std::string text, std::string_view from, std::string_view to);
/// The whole text as a decimal number, or nullopt (also for "", " 1", "1x", overflow).
std::optional<std::int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);
/// & < > " ' as entities: safe in text and in quoted attributes.
std::string escape_html(std::string_view text);
/// %-encodes everything but unreserved characters (RFC 3986), so also '/'.
std::string url_encode(std::string_view text);
/// Decodes %XX (and '+' as a space when `plus_is_space`); nullopt for broken escapes.
std::optional<std::string> url_decode(std::string_view text, bool plus_is_space);
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view hex);
std::optional<std::string> from_base64(std::string_view text);
std::string to_base64(std::string_view bytes);
/// True when `text` is well-formed UTF-8 without NUL.
bool is_utf8(std::string_view text);
/// The text with every byte that is not well-formed UTF-8, and every NUL, replaced by U+FFFD: for what
/// came from outside and is shown in an answer or a log.
std::string as_utf8(std::string_view text);
/// "12.3 MB", "840 bytes"; decimal units.
std::string human_bytes(std::uint64_t bytes);
/// Of `known` the word that somebody who typed `word` most likely meant: a few letters apart, else "".
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);
/// Milliseconds since 1970 as "2026-11-23T23:47:55.123Z".
std::string iso_time(std::int64_t unix_ms);
/// "45 s", "12 min", "2 h 5 min", "3 days 4 h": two units at most. Less than nothing is nothing.
std::string duration_text(std::int64_t ms);

}  // namespace afloat
