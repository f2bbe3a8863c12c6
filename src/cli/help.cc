#include "cli/help.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <string_view>

#include "base/text.h"

namespace afloat::cli {

namespace {

// A unit test keeps this complete, and parses each.
const std::map<std::string_view, std::string_view> examples = {
    {"status", "afloat status --site https://wiki.example.org --user admin --password-file secret"},
    {"nodes list", "afloat nodes list"},
    {"nodes drain", "afloat nodes drain node2"},
    {"nodes return", "afloat nodes return node2"},
    {"nodes rollback", "afloat nodes rollback node2"},
    {"nodes remove", "afloat nodes remove node2"},
    {"users list", "afloat users list --text smith"},
    {"users add", "afloat users add jsmith --full-name \"J. Smith\" --email jsmith@example.org"},
    {"users reset-password", "afloat users reset-password jsmith --new-password-file secret"},
    {"users make-administrator", "afloat users make-administrator jsmith"},
    {"users revoke-administrator", "afloat users revoke-administrator jsmith"},
    {"settings", "afloat settings --site https://wiki.example.org"},
    {"hosts", "afloat hosts --site https://wiki.example.org"},
    {"support zip", "afloat support zip --out support.zip --config /etc/afloat/site.toml"},
    {"upgrade plan", "afloat upgrade plan --to 1.1.0"},
    {"upgrade run", "afloat upgrade run --to 1.1.0 --reason \"monthly update\" --at 02:00 --not-after 05:00"},
    {"upgrade path", "afloat upgrade path --product confluence --from 7.14.2 --to 7.17.4"},
    {"upgrade notes", "afloat upgrade notes --to 1.2.0"},
    {"upgrade policy", "afloat upgrade policy --product confluence"},
    {"upgrade status", "afloat upgrade status --watch"},
    {"upgrade history", "afloat upgrade history --limit 10"},
    {"upgrade report", "afloat upgrade report --id 7"},
    {"upgrade cancel", "afloat upgrade cancel --wait"},
    {"upgrade pause", "afloat upgrade pause"},
    {"upgrade resume", "afloat upgrade resume --wait"},
    {"upgrade start", "afloat upgrade start"},
    {"upgrade finalize", "afloat upgrade finalize --wait"},
    {"upgrade retry", "afloat upgrade retry --wait"},
    {"upgrade expand", "afloat upgrade expand --config site.toml --node node1"},
    {"serve", "afloat serve --config site.toml --node node1"},
    {"selfcheck", "afloat selfcheck --config site.toml --node node1"},
    {"conductor", "AFLOAT_PASSWORD=... afloat conductor --config site.toml --user admin"},
    {"agent", "afloat agent --config site.toml --host host1"},
    {"releases list", "afloat releases list --config site.toml"},
    {"releases show", "afloat releases show 1.1.0 --config site.toml"},
    {"releases fetch", "afloat releases fetch 1.2.0 --from https://releases.example.org/afloat --config site.toml"},
    {"releases index", "afloat releases index --catalogue catalogue --key keys/afloat.key"},
    {"releases keygen", "afloat releases keygen --out keys"},
    {"releases sign", "afloat releases sign catalogue/1.1.0 --key keys/afloat.key"},
    {"releases verify", "afloat releases verify 1.1.0 --config site.toml"},
    {"releases pack", "afloat releases pack --version 1.1.0 --binary afloat --web web --out catalogue/1.1.0"},
    {"import html", "afloat import html manual --space DOC --site https://wiki.example.org"},
    {"load", "AFLOAT_PASSWORD=... afloat load --site http://127.0.0.1:8080 --rate 100 --seconds 60 --ledger ledger"},
    {"load verify",
     "AFLOAT_PASSWORD=... afloat load verify --ledger ledger --node http://127.0.0.1:8081 --out verify.json"},
    {"report", "afloat report --run run.json --ledger ledger --verify verify.json --out report"},
    {"up", "afloat up --nodes 3 --data site"},
    {"demo", "afloat demo --from 1.0.0 --to 1.1.0 --content manual --report report"},
};

void add_examples_below(CLI::App& command, const std::string& path) {
  const auto example = examples.find(path);
  if (example != examples.end() && command.get_footer().empty())
    command.footer(fmt::format("Example: {}", example->second));
  for (auto* inner : command.get_subcommands([](CLI::App*) { return true; }))
    add_examples_below(*inner, path.empty() ? inner->get_name() : path + " " + inner->get_name());
}

}  // namespace

void add_examples(CLI::App& app) { add_examples_below(app, ""); }

std::string unknown_command(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  std::string path = app.get_name();
  for (const auto& word : words) {
    // An option of a group may have a value; from there on the parser itself tells.
    if (word.starts_with('-') || at->get_require_subcommand_min() == 0) return {};
    std::vector<std::string> names;
    const CLI::App* inner = nullptr;
    for (const auto* command : at->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(command->get_name());
      if (command->get_name() == word) inner = command;
    }
    if (inner == nullptr) {
      const auto nearest = nearest_word(word, names);
      return fmt::format("{} has no command '{}'{} It has: {}. See {} --help.", path, word,
                         nearest.empty() ? "." : fmt::format("; did you mean '{}'?", nearest), join(names, ", "), path);
    }
    at = inner;
    path += " " + word;
  }
  return {};
}

}  // namespace afloat::cli
