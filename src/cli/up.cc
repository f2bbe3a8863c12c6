#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "agent/catalogue.h"
#include "base/hash.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/release_signing.h"
#include "cli/stage.h"
#include "local/site.h"
#include "server/identity.h"

namespace afloat::cli {
namespace {

struct UpOptions {
  int nodes = 3;
  int base_port = 8080;
  std::string data, catalogue = "catalogue", version;
  std::vector<std::string> trusted_keys;
  bool first_run = false;
};

/// What a fresh site starts with where nobody said: the highest release of the catalogue.
Result<std::string> highest_release(const std::string& catalogue) {
  auto entries = agent::list_catalogue(catalogue);
  if (!entries) return std::unexpected(entries.error());
  for (auto entry = entries->rbegin(); entry != entries->rend(); ++entry)
    if (!entry->problem) return entry->version;
  return fail(ErrorKind::not_found,
              fmt::format("the catalogue {} has no release: make one with ./run build --release V, or "
                          "./run bundle --version V --out {}/V",
                          catalogue, catalogue));
}

/// What a shell needs so that `afloat status` and all others find the site.
std::string exports_of(const local::Site& site) {
  std::string line = "export";
  for (const auto& [name, value] : site.credentials())
    line += fmt::format(" {}='{}'", name, replace_all(value, "'", "'\\''"));
  return line;
}

/// How to get in; a site that was set up before has its account, whatever was asked for.
Result<std::string> way_in(local::Site& site) {
  http::ClientRequest request;
  request.url = site.url() + "/status";
  auto status = site.client().send_blocking(std::move(request), std::chrono::seconds(5));
  if (!status) return std::unexpected(status.error());
  if (!status->body->contains("FIRST_RUN"))
    return fmt::format("{}   sign in as admin with {}", site.url(), site.admin_password());
  auto code = server::setup_code(site.dir() + "/home");
  if (!code) return std::unexpected(code.error());
  return fmt::format("{0}/setup?code={1}   set it up as admin with {2}: so the conductor signs in, too", site.url(), *code,
                     site.admin_password());
}

Result<void> run_up(const UpOptions& options, Stages& stages) {
  stages.begin(fmt::format("Start a site of {} nodes", options.nodes), "5 s");
  local::SiteOptions site_options;
  site_options.dir = options.data;
  site_options.catalogue = options.catalogue;
  site_options.nodes = options.nodes;
  site_options.base_port = options.base_port;
  site_options.conductor = true;
  site_options.first_run = options.first_run;
  if (!options.trusted_keys.empty()) {
    auto keys = trusted_keys_of(options.trusted_keys, "");
    if (!keys) return std::unexpected(keys.error());
    for (const auto& key : *keys) site_options.trusted_keys.push_back(minisign::public_key_text(key));
  }
  site_options.say = [&](const std::string& text) { stages.line(text); };
  site_options.given_up = interrupted;
  auto site = local::Site::create(std::move(site_options));
  if (!site) return std::unexpected(site.error());
  auto version = options.version.empty() ? (*site)->linked_version() : options.version;
  if (version.empty()) {
    auto highest = highest_release(options.catalogue);
    if (!highest) return std::unexpected(highest.error());
    version = *highest;
  }
  if (interrupted()) return fail(ErrorKind::unavailable, "Stopped while the site was starting.");
  if (auto started = (*site)->start_nodes(version); !started) return started;
  auto way = way_in(**site);
  if (!way) return std::unexpected(way.error());
  stages.end();
  stages.good(*way);
  for (const auto& node : (*site)->nodes()) stages.line(fmt::format("{}  {}", node.name, node.url()));
  stages.line(fmt::format("configuration: {}", (*site)->config()));
  stages.line("for the other commands, in another shell:");
  stages.line(exports_of(**site));
  stages.line("Ctrl-C stops it all.");
  while (!interrupted()) pause_for(std::chrono::hours(1));
  stages.begin("Stop", "2 s");
  (*site)->stop();
  stages.end();
  return {};
}

}  // namespace

void add_up_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<UpOptions>();
  auto* command =
      app.add_subcommand("up", "Run a whole site on this machine: PostgreSQL, HAProxy, agents, nodes, conductor");
  command->add_option("--nodes", options->nodes, "How many nodes")->check(CLI::Range(1, 25))->capture_default_str();
  command->add_option("--data", options->data,
                      "Folder of the site; without it, a temporary one that is removed at the end");
  command->add_option("--catalogue", options->catalogue, "Folder of release bundles")->capture_default_str();
  command->add_option("--trusted-key", options->trusted_keys,
                      "Public key or .pub file; with it, releases must be signed by it");
  command->add_option("--version", options->version,
                      "Release to start with (default: where the site is, or the highest there is)");
  command->add_option("--base-port", options->base_port, "Port of the balancer; the nodes have the next ones")
      ->capture_default_str();
  command->add_flag("--first-run", options->first_run,
                    "Begin without an administrator, at the page that makes the first account");
  command->callback([options, &exit_code] {
    init_crypto();
    catch_interrupts();
    Stages stages;
    if (auto done = run_up(*options, stages); !done) {
      stages.bad(done.error().message());
      exit_code = 1;
    }
  });
}

}  // namespace afloat::cli
