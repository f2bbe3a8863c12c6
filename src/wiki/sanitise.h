#pragma once
#include <optional>
#include <string>
#include <string_view>

/// The allow-list of what may reach a reader's browser. Whatever is not named here is left out. Pure.
namespace afloat::wiki {

/// HTML elements that are rendered; others are left out but their content stays.
bool element_allowed(std::string_view name);
/// Elements whose content goes too: script, style, iframe, form controls...
bool element_dropped_whole(std::string_view name);
/// br, hr, img, col: written without an end tag.
bool element_void(std::string_view name);
/// p, div, li, h1...: their end separates words.
bool element_block(std::string_view name);
/// The value to write, or nullopt to leave the attribute out (on*, style, unsafe URLs, unknown names).
std::optional<std::string> clean_attribute(std::string_view element, std::string_view name, std::string_view value);
/// http, https, mailto, or relative (no scheme). Control characters and blanks that browsers ignore
/// inside a scheme ("java\nscript:") do not get round it. data: and //host are refused.
bool url_allowed(std::string_view url);
/// `text` as an element id: letters, digits, '-', '_', '.', ':'; never empty.
std::string anchor_of(std::string_view text);

}  // namespace afloat::wiki
