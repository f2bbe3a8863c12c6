#include "server/rest/cql.h"

#include <fmt/format.h>

#include "base/text.h"

namespace afloat::server {

namespace {

enum class TokenKind { word, quoted, symbol, end };
struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  std::size_t at = 0;
  bool is_word(std::string_view word) const { return kind == TokenKind::word && equals_ignoring_case(text, word); }
};

Result<std::vector<Token>> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  std::size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at;
    } else if (c == '"' || c == '\'') {
      Token token{TokenKind::quoted, "", at++};
      while (at < text.size() && text[at] != c) {
        if (text[at] == '\\' && at + 1 < text.size()) ++at;
        token.text += text[at++];
      }
      if (at == text.size())
        return fail(
            ErrorKind::invalid_argument,
            fmt::format("The CQL query has a quote at position {} that is not closed; close it.", token.at + 1));
      ++at;
      tokens.push_back(std::move(token));
    } else if (std::string_view("=~!<>(),").find(c) != std::string_view::npos) {
      Token token{TokenKind::symbol, std::string(1, c), at++};
      if ((c == '!' || c == '<' || c == '>') && at < text.size() && (text[at] == '=' || text[at] == '~'))
        token.text += text[at++];
      tokens.push_back(std::move(token));
    } else {
      Token token{TokenKind::word, "", at};
      while (at < text.size() && std::string_view(" \t\r\n\"'=~!<>(),").find(text[at]) == std::string_view::npos)
        token.text += text[at++];
      tokens.push_back(std::move(token));
    }
  }
  tokens.push_back({TokenKind::end, "", text.size()});
  return tokens;
}

std::unexpected<Error> refused(const Token& token, std::string_view expected) {
  return fail(ErrorKind::invalid_argument,
              fmt::format("Could not parse cql: expected {} at position {}, found {}.", expected, token.at + 1,
                          token.kind == TokenKind::end ? std::string("the end") : "\"" + token.text + "\""));
}

Result<void> apply(CqlQuery& query, const Token& field, std::string_view op, const std::string& value) {
  const auto name = to_lower(field.text);
  auto& search = query.search;
  const auto is = [&](std::string_view wanted, std::string_view ops) {
    return name == wanted && ops.find(op) != std::string_view::npos;
  };
  if (is("type", "=")) {
    if (!equals_ignoring_case(value, "page")) query.nothing = true;
  } else if (is("space", "=") || is("space.key", "=")) {
    search.space_key = value;
  } else if (is("title", "=")) {
    search.title = value;
  } else if (is("title", "~")) {
    search.title_like = value;
  } else if (is("text", "=~") || is("sitesearch", "=~")) {
    // Two conditions on the text must both hold, and that is what more words mean.
    search.text = search.text ? *search.text + " " + value : value;
  } else if (is("label", "=")) {
    search.label = to_lower(value);
  } else if (is("ancestor", "=") || is("id", "=") || is("content", "=")) {
    const auto id = parse_int(value);
    if (!id)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("Could not parse cql: {} wants a page id, found \"{}\".", field.text, value));
    (name == "ancestor" ? search.ancestor : search.id) = *id;
  } else {
    return fail(ErrorKind::invalid_argument,
                fmt::format("Could not parse cql: {} {} is not known here; known are type, space, title, text, "
                            "siteSearch, label, ancestor and id with = (and ~ for title, text, siteSearch).",
                            field.text, op));
  }
  return {};
}

}  // namespace

Result<CqlQuery> parse_cql(std::string_view text) {
  auto tokens = tokens_of(text);
  if (!tokens) return std::unexpected(tokens.error());
  CqlQuery query;
  std::size_t at = 0;
  const auto next = [&]() -> const Token& { return (*tokens)[std::min(at++, tokens->size() - 1)]; };
  const auto peek = [&]() -> const Token& { return (*tokens)[std::min(at, tokens->size() - 1)]; };
  for (bool first = true; !peek().is_word("order"); first = false) {
    if (peek().kind == TokenKind::end && !first) break;
    if (!first) {
      if (!peek().is_word("and")) return refused(peek(), "\"and\"");
      next();
    }
    const Token field = next();
    if (field.kind != TokenKind::word) return refused(field, "a field");
    const Token op = next();
    if (op.kind == TokenKind::symbol && (op.text == "=" || op.text == "~")) {
      const Token value = next();
      if (value.kind != TokenKind::word && value.kind != TokenKind::quoted) return refused(value, "a value");
      if (auto applied = apply(query, field, op.text, value.text); !applied) return std::unexpected(applied.error());
    } else if (op.is_word("in")) {
      // Lists of one value, as clients build them; for type the list only has to contain "page".
      if (const Token open = next(); open.text != "(") return refused(open, "\"(\"");
      std::vector<std::string> values;
      for (;;) {
        const Token value = next();
        if (value.kind != TokenKind::word && value.kind != TokenKind::quoted) return refused(value, "a value");
        values.push_back(value.text);
        const Token after = next();
        if (after.text == ")") break;
        if (after.text != ",") return refused(after, "\",\" or \")\"");
      }
      const bool type = equals_ignoring_case(field.text, "type");
      if (!type && values.size() > 1) return refused(field, "a list of one value (longer ones are not known here)");
      std::string value = values.front();
      for (const auto& each : values)
        if (type && equals_ignoring_case(each, "page")) value = each;
      if (auto applied = apply(query, field, "=", value); !applied) return std::unexpected(applied.error());
    } else {
      return refused(op, "= or ~");
    }
  }
  if (peek().is_word("order")) {
    next();
    if (const Token by = next(); !by.is_word("by")) return refused(by, "\"by\"");
    const Token field = next();
    const auto name = to_lower(field.text);
    query.search.order = name == "lastmodified" ? "modified"
                         : name == "created"    ? "created"
                         : name == "title"      ? "title"
                                                : "";
    if (query.search.order.empty()) return refused(field, "lastmodified, created or title");
    if (peek().is_word("asc") || peek().is_word("desc")) next();
    if (peek().kind != TokenKind::end) return refused(peek(), "the end");
  }
  return query;
}

}  // namespace afloat::server
