#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "base/json_fields.h"
#include "base/text.h"
#include "cli/check_view.h"
#include "cli/commands.h"
#include "cli/site_access.h"
#include "version/version.h"

/// `afloat check`: health, and what must be well before an upgrade.
namespace afloat::cli {
namespace {

namespace json = boost::json;

struct CheckOptions {
  SiteAccess access{.site = {}};
  std::string to;
  bool as_json = false, health_only = false;
};

Result<int> check(const CheckOptions& options) {
  if (!options.to.empty())
    if (auto target = version::parse_version(options.to); !target) return std::unexpected(target.error());
  std::string path = "/rest/afloat/1/checks";
  if (!options.to.empty() && !options.health_only) path += "?to=" + url_encode(options.to);
  auto body = options.access.call("GET", path);
  if (!body && body.error().kind() == ErrorKind::not_found)
    return fail(ErrorKind::failed_precondition,
                "The site's nodes run a release before 1.2.0, which has no such checks. `afloat upgrade plan --to "
                "VERSION` shows what those know.");
  if (!body) return std::unexpected(body.error());
  auto answer = parse_json_object(*body, "the site's answer");
  if (!answer) return std::unexpected(answer.error());
  fmt::print("{}", options.as_json ? *body + "\n" : checks_text(*answer));
  return checks_code(*answer);
}

}  // namespace

void add_check_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<CheckOptions>();
  auto* command = app.add_subcommand("check", "Is the site well, and ready for an upgrade? Changes nothing");
  options->access.add_options(*command);
  command->add_option("--to", options->to, "Also what must be well before an upgrade to this version");
  command->add_flag("--health", options->health_only, "Health alone, whatever --to says");
  command->add_flag("--json", options->as_json, "As REST gives it");
  command->footer(
      "Exit codes: 0 all well, and rolling; 1 error; 2 usage; 3 downtime needed; 4 a check failed.\n"
      "Warnings, and what could not be found out, change no exit code.\n\n"
      "Example: afloat check --to 1.2.0");
  command->callback([options, &exit_code] {
    const auto code = check(*options);
    if (!code) fmt::print(stderr, "afloat: {}\n", code.error().message());
    exit_code = code ? *code : code.error().kind() == ErrorKind::invalid_argument ? 2 : 1;
  });
}

}  // namespace afloat::cli
