#include "adapters/postgres/secrets.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

namespace afloat::postgres {
namespace {

constexpr auto shown = std::to_array<std::string_view>(
    {"host", "hostaddr", "port", "dbname", "user", "connect_timeout", "client_encoding", "application_name",
     "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslmode",
     "sslrootcert", "gssencmode", "target_session_attrs", "channel_binding"});

using Options = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;
Options parsed(const std::string& connection) {
  char* problem = nullptr;
  Options options(PQconninfoParse(connection.c_str(), &problem), PQconninfoFree);
  PQfreemem(problem);  // not told: it may repeat a part of the string
  return options;
}

}  // namespace

std::string without_secrets(const std::string& connection) {
  const auto options = parsed(connection);
  if (!options) return "***";
  std::string text;
  for (const auto* option = options.get(); option->keyword; ++option) {
    if (!option->val) continue;
    const bool show = std::ranges::find(shown, std::string_view(option->keyword)) != shown.end();
    text += fmt::format("{}{}='{}'", text.empty() ? "" : " ", option->keyword, show ? option->val : "***");
  }
  return text;
}

std::vector<std::string> secrets_of(const std::string& connection) {
  const auto options = parsed(connection);
  if (!options) return {connection};
  std::vector<std::string> values;
  for (const auto* option = options.get(); option->keyword; ++option)
    if (option->val && std::string_view(option->keyword).contains("password")) values.emplace_back(option->val);
  return values;
}

}  // namespace afloat::postgres
