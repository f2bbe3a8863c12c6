#include "adapters/sqlite/functions.h"

#include <locale.h>
#include <wctype.h>

#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/text.h"

namespace afloat::sqlite {

namespace {

FunctionState& state_of(sqlite3_context* context) { return *static_cast<FunctionState*>(sqlite3_user_data(context)); }

std::string_view argument(sqlite3_value* value) {
  const auto* bytes = static_cast<const char*>(sqlite3_value_blob(value));  // of a text: its UTF-8
  return {bytes ? bytes : "", static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

void give_text(sqlite3_context* context, const std::string& text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

/// SQLite's own lower() knows ASCII alone, and titles are compared by it.
std::string lower_utf8(std::string_view text) {
  // Of glibc itself: it is there without any installed language, and knows every letter.
  static const locale_t letters = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
    if (first < 0x80 || letters == nullptr || length == 1 || at + length > text.size()) {
      out += first >= 'A' && first <= 'Z' ? static_cast<char>(first | 0x20) : text[at];
      ++at;
      continue;
    }
    std::uint32_t code = first & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) code = (code << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
    append_utf8(out, static_cast<std::uint32_t>(towlower_l(static_cast<wint_t>(code), letters)));
    at += length;
  }
  return out;
}

void now(sqlite3_context* context, int, sqlite3_value**) { sqlite3_result_int64(context, state_of(context).now_us); }

void next_page_id(sqlite3_context* context, int, sqlite3_value**) {
  sqlite3_result_int64(context, ++*state_of(context).last_page_id);
}

void lower(sqlite3_context* context, int, sqlite3_value** values) {
  if (sqlite3_value_type(values[0]) == SQLITE_NULL) return sqlite3_result_null(context);
  give_text(context, lower_utf8(argument(values[0])));
}

void sha256(sqlite3_context* context, int, sqlite3_value** values) {
  const auto digest = from_hex(sha256_hex(argument(values[0]))).value();
  sqlite3_result_blob64(context, digest.data(), digest.size(), SQLITE_TRANSIENT);
}

// Every text is UTF-8 here.
void convert_to(sqlite3_context* context, int, sqlite3_value** values) {
  const auto text = argument(values[0]);
  sqlite3_result_blob64(context, text.data(), text.size(), SQLITE_TRANSIENT);
}

void encode(sqlite3_context* context, int, sqlite3_value** values) {
  if (argument(values[1]) != "hex") return sqlite3_result_error(context, "encode() knows hex only", -1);
  give_text(context, to_hex(argument(values[0])));
}

}  // namespace

int add_functions(sqlite3* connection, FunctionState& state) {
  struct Function {
    const char* name;
    int arguments;
    int flags;
    void (*run)(sqlite3_context*, int, sqlite3_value**);
  };
  constexpr int pure = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
  const Function functions[] = {{"now", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, now},
                                {"next_page_id", 0, SQLITE_UTF8, next_page_id},
                                {"lower", 1, pure, lower},
                                {"sha256", 1, pure, sha256},
                                {"convert_to", 2, pure, convert_to},
                                {"encode", 2, pure, encode}};
  for (const auto& f : functions)
    if (const int code = sqlite3_create_function_v2(connection, f.name, f.arguments, f.flags, &state, f.run, nullptr,
                                                    nullptr, nullptr);
        code != SQLITE_OK)
      return code;
  return SQLITE_OK;
}

}  // namespace afloat::sqlite
