#include "server/support.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <ctime>
#include <memory>

#include "adapters/files/zip.h"
#include "adapters/postgres/secrets.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/site_access.h"
#include "local/workplace.h"
#include "server/config.h"
#include "version/version.h"

/// `afloat support zip`: what somebody needs who is to help and has no access to the site.
namespace afloat::cli {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

struct SupportOptions {
  SiteAccess access;
  std::string to, out = "afloat-support.zip", config;
};

/// What the hosts' agents have: the ends of their nodes' logs, those from before the last start too.
std::vector<server::SupportFile> of_hosts(const server::SiteConfig& site) {
  std::vector<server::SupportFile> files;
  http::Client client(1);
  client.trust(site.tls_ca);
  for (const auto& host : site.hosts) {
    http::ClientRequest request;
    request.url = (host.url.empty() ? "http://agent" : host.url) + "/agent/1/logs";
    if (host.url.empty())
      request.unix_socket = host.socket;
    else
      request.token_file = host.token_file;
    const auto answer = client.send_blocking(std::move(request), 10s);
    const auto folder = "hosts/" + host.name + "/";
    std::string problem = !answer                 ? answer.error().message()
                          : answer->status == 404 ? "its agent runs a release before 1.2.0, which hands out no logs"
                          : answer->status != 200 ? fmt::format("its agent answers {}", answer->status)
                                                  : "";
    const auto body = problem.empty() ? parse_json_object(*answer->body, "the agent's answer") : json::object();
    const auto* logs = body ? object_at(*body, "logs") : nullptr;
    if (problem.empty() && !logs) problem = "its agent's answer can't be read";
    if (!problem.empty()) {
      files.push_back({folder + "no-logs.txt", problem + "\n", "why its logs are missing"});
      continue;
    }
    for (const auto& [node, text] : *logs)
      if (text.is_string())
        files.push_back({folder + std::string(node) + ".log", std::string(text.get_string()), "the end of its log"});
  }
  return files;
}

/// What the site itself gives.
Result<std::vector<files::ZipFile>> of_site(const SupportOptions& options) {
  auto rest = SiteRest::open(options.access);
  if (!rest) return std::unexpected(rest.error());
  std::string path = "/rest/afloat/1/support";
  if (!options.to.empty()) path += "?to=" + url_encode(options.to);
  auto bytes = rest->call("GET", path);
  if (!bytes && bytes.error().kind() == ErrorKind::not_found)
    return fail(ErrorKind::unavailable, "The site's nodes run a release before 1.2.0, which makes no such zip.");
  if (!bytes) return std::unexpected(bytes.error());
  return files::files_of_zip(*bytes);
}

Result<int> make(const SupportOptions& options) {
  if (!options.to.empty())
    if (auto target = version::parse_version(options.to); !target) return std::unexpected(target.error());
  auto files = of_site(options);
  if (!options.config.empty()) {
    const auto site = server::load_config(options.config);
    if (!site) return std::unexpected(site.error());
    const auto secrets = postgres::secrets_of(site->database);
    // A site that is down is when help is needed most.
    if (!files && files.error().kind() == ErrorKind::unavailable)
      files = server::with_contents(
          "The site did not answer: " + files.error().message() + "\n\n",
          {{"site.toml", server::config_without_secrets(*site), "the configuration, secrets left out"}}, secrets);
    if (!files) return std::unexpected(files.error());
    const auto more = server::with_contents("", of_hosts(*site), secrets);
    if (!files->empty()) files->front().content += more.front().content;
    files->insert(files->end(), more.begin() + 1, more.end());
  }
  if (!files) return std::unexpected(files.error());
  const auto bytes = files::zip_of(*files, std::time(nullptr));
  if (!bytes) return std::unexpected(bytes.error());
  if (auto written = local::write_file(options.out, *bytes, 0600); !written) return std::unexpected(written.error());
  fmt::print("{}, {}, for you alone to read:\n\n", options.out, human_bytes(bytes->size()));
  if (!files->empty()) fmt::print("{}", files->front().content);
  fmt::print("\nLook into it before you send it.\n");
  return 0;
}

}  // namespace

void add_support_command(CLI::App& app, int& exit_code) {
  auto* support = app.add_subcommand("support", "What somebody needs who is to help");
  support->require_subcommand(1);
  auto options = std::make_shared<SupportOptions>();
  auto* command = support->add_subcommand(
      "zip", "Checks, roster, runs, events, configuration and last log lines in one file, without passwords");
  options->access.add_options(*command);
  command->add_option("--out", options->out, "The file to write")->capture_default_str();
  command->add_option("--to", options->to, "Also what must be well before an upgrade to this version");
  command->add_option("--config", options->config,
                      "site.toml: also the logs that the agents have which it names. Reads their sockets, so run it "
                      "where the conductor runs");
  command->callback([options, &exit_code] {
    const auto code = make(*options);
    if (!code) fmt::print(stderr, "afloat: {}\n", code.error().message());
    exit_code = code ? *code : code.error().kind() == ErrorKind::invalid_argument ? 2 : 1;
  });
}

}  // namespace afloat::cli
