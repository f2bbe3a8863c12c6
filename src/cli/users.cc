#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/moment.h"
#include "cli/site_access.h"

/// `afloat users`: who may sign in, and who is a system administrator.
namespace afloat::cli {
namespace {

namespace json = boost::json;

struct UserOptions {
  SiteAccess access;
  std::string name, full_name, email, text, new_password_file;
  int start = 0, limit = 100;
  bool administrators = false, administrator = false, as_json = false;
};

Result<json::object> ask(const UserOptions& options, const std::string& method, const std::string& path,
                         const json::object& body = {}) {
  auto answer = options.access.call(method, path, method == "GET" ? std::string() : json::serialize(body));
  if (!answer && answer.error().kind() == ErrorKind::not_found &&
      answer.error().message().starts_with("There is nothing at"))
    return fail(ErrorKind::unavailable, "The node that answered runs a release before 1.3.0, which can't do this.");
  if (!answer) return std::unexpected(answer.error());
  if (answer->empty()) return json::object();
  return parse_json_object(*answer, "the site's answer");
}

std::string path_of(const UserOptions& options, std::string_view rest = {}) {
  return fmt::format("/rest/afloat/1/users/{}{}", url_encode(options.name), rest);
}

/// Nodes before 1.4 do not tell it.
std::string last_here(const json::object& user) {
  const auto* at = user.if_contains("lastSeenAt");
  if (!at) return "-";
  return at->is_null() ? "never" : shown_moment(int_or(user, "lastSeenAt"));
}

Result<void> list(const UserOptions& options) {
  auto answer = ask(options, "GET",
                    fmt::format("/rest/afloat/1/users?start={}&limit={}&text={}{}", options.start, options.limit,
                                url_encode(options.text), options.administrators ? "&administrators=true" : ""));
  if (!answer) return std::unexpected(answer.error());
  if (options.as_json) {
    fmt::print("{}\n", json::serialize(*answer));
    return {};
  }
  const auto* results = array_at(*answer, "results");
  if (!results || results->empty()) {
    fmt::print("No such user.\n");
    return {};
  }
  fmt::print("{:<20} {:<28} {:<30} {:<14} {}\n", "user", "full name", "e-mail", "administrator", "last here");
  for (const auto& value : *results) {
    if (!value.is_object()) continue;
    const auto& user = value.get_object();
    fmt::print("{:<20} {:<28} {:<30} {:<14} {}\n", string_or(user, "userName"), string_or(user, "fullName"),
               string_or(user, "email"), bool_or(user, "administrator") ? "yes" : "", last_here(user));
  }
  if (const auto total = int_or(*answer, "total"); options.start + static_cast<std::int64_t>(results->size()) < total)
    fmt::print("{} users in all; the next ones: --start {}\n", total,
               options.start + static_cast<std::int64_t>(results->size()));
  return {};
}

/// From the file, or made here.
Result<std::string> new_password(const UserOptions& options) {
  if (options.new_password_file.empty()) return random_hex(10);
  std::ifstream file(options.new_password_file, std::ios::binary);
  if (!file) return fail(ErrorKind::not_found, fmt::format("The file {} cannot be read.", options.new_password_file));
  return std::string(trim(std::string(std::istreambuf_iterator<char>(file), {})));
}

void tell_password(const UserOptions& options, const std::string& password) {
  if (options.new_password_file.empty()) fmt::print("Password: {}\n", password);
}

Result<void> add(const UserOptions& options) {
  auto password = new_password(options);
  if (!password) return std::unexpected(password.error());
  auto answer = ask(options, "POST", "/rest/api/admin/user",
                    {{"userName", options.name},
                     {"fullName", options.full_name.empty() ? options.name : options.full_name},
                     {"email", options.email},
                     {"password", *password},
                     {"administrator", options.administrator}});
  if (!answer) return std::unexpected(answer.error());
  fmt::print("{} may sign in{}.\n", options.name, options.administrator ? " and is a system administrator" : "");
  tell_password(options, *password);
  return {};
}

Result<void> reset_password(const UserOptions& options) {
  auto password = new_password(options);
  if (!password) return std::unexpected(password.error());
  auto answer = ask(options, "POST", path_of(options, "/password"), {{"password", *password}});
  if (!answer) return std::unexpected(answer.error());
  fmt::print("{} has a new password, and is signed out everywhere.\n", options.name);
  tell_password(options, *password);
  return {};
}

Result<void> set_administrator(const UserOptions& options, bool is) {
  auto answer = ask(options, "PUT", path_of(options), {{"administrator", is}});
  if (!answer) return std::unexpected(answer.error());
  fmt::print("{} is {}a system administrator.\n", options.name, is ? "" : "no longer ");
  return {};
}

}  // namespace

void add_users_commands(CLI::App& app, int& exit_code) {
  auto* users = app.add_subcommand("users", "Who may sign in, and who is a system administrator");
  users->require_subcommand(1);
  const auto command = [&](const char* name, const char* about, std::function<Result<void>(const UserOptions&)> work) {
    auto options = std::make_shared<UserOptions>();
    auto* made = users->add_subcommand(name, about);
    options->access.add_options(*made);
    made->callback([options, work = std::move(work), &exit_code] {
      const auto done = work(*options);
      if (!done) fmt::print(stderr, "afloat: {}\n", done.error().message());
      exit_code = done ? 0 : done.error().kind() == ErrorKind::invalid_argument ? 2 : 1;
    });
    return std::pair(made, options);
  };
  const auto named = [&](const char* name, const char* about, std::function<Result<void>(const UserOptions&)> work) {
    auto [made, options] = command(name, about, std::move(work));
    made->add_option("name", options->name, "The user's name")->required();
    return std::pair(made, options);
  };
  const auto takes_password = [](CLI::App* made, UserOptions& options) {
    made->add_option("--new-password-file", options.new_password_file,
                     "File with the user's password; without it one is made and printed");
  };

  auto [lister, list_options] = command("list", "Show the users, by name", list);
  lister->add_option("--text", list_options->text, "Only those with this in name, full name or e-mail address");
  lister->add_flag("--administrators", list_options->administrators, "System administrators alone");
  lister->add_option("--start", list_options->start, "Leave out so many")->check(CLI::NonNegativeNumber);
  lister->add_option("--limit", list_options->limit, "Show so many")->check(CLI::Range(1, 200))->capture_default_str();
  lister->add_flag("--json", list_options->as_json, "As REST gives it");

  auto [adder, add_options] = named("add", "Add a user, who may sign in from then on", add);
  adder->add_option("--full-name", add_options->full_name, "As pages show it; without it the name");
  adder->add_option("--email", add_options->email, "E-mail address");
  adder->add_flag("--administrator", add_options->administrator, "A system administrator from the beginning");
  takes_password(adder, *add_options);

  auto [resetter, reset_options] =
      named("reset-password", "Give a user a new password; signs them out everywhere", reset_password);
  takes_password(resetter, *reset_options);
  named("make-administrator", "Make a user a system administrator",
        [](const UserOptions& options) { return set_administrator(options, true); });
  named("revoke-administrator", "Take the right of a system administrator from a user",
        [](const UserOptions& options) { return set_administrator(options, false); });
}

}  // namespace afloat::cli
