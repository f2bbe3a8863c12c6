#include "cli/help.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace afloat::cli {
namespace {

class HelpTest : public ::testing::Test {
 protected:
  HelpTest() : app_("Afloat", "afloat") {
    app_.require_subcommand(1);
    add_serve_command(app_, exit_code_);
    add_status_commands(app_, exit_code_);
    add_check_command(app_, exit_code_);
    add_events_command(app_, exit_code_);
    add_users_commands(app_, exit_code_);
    add_settings_commands(app_, exit_code_);
    add_support_command(app_, exit_code_);
    add_upgrade_commands(app_, exit_code_);
    add_conductor_command(app_, exit_code_);
    add_agent_command(app_, exit_code_);
    add_release_commands(app_, exit_code_);
    add_import_command(app_, exit_code_);
    add_load_command(app_, exit_code_);
    add_up_command(app_, exit_code_);
    add_demo_command(app_, exit_code_);
    add_examples(app_);
  }
  CLI::App app_;
  int exit_code_ = 0;
};

void expect_help(CLI::App& command, const std::string& path) {
  const auto inner = command.get_subcommands([](CLI::App*) { return true; });
  for (auto* each : inner) expect_help(*each, path + " " + each->get_name());
  if (!inner.empty() && command.get_require_subcommand_min() > 0) return;
  SCOPED_TRACE(path);
  EXPECT_GT(command.get_description().size(), 10U);
  const auto footer = command.get_footer();
  EXPECT_NE(footer.find("Example: "), std::string::npos) << footer;
  EXPECT_NE(footer.find(path), std::string::npos) << footer;
  // An example with an option that is not there helps nobody.
  for (std::size_t at = footer.find(" --"); at != std::string::npos; at = footer.find(" --", at + 1)) {
    const auto option = footer.substr(at + 1, footer.find_first_of(" \n", at + 1) - at - 1);
    EXPECT_NE(command.get_option_no_throw(option), nullptr) << option;
  }
}

TEST_F(HelpTest, EveryCommandSaysWhatItDoesAndGivesAnExampleThatItsOptionsFit) { expect_help(app_, "afloat"); }

TEST_F(HelpTest, AnUnknownCommandIsNamedWithTheNearestOne) {
  EXPECT_EQ(unknown_command(app_, {"nodes", "drain", "node1"}), "");
  EXPECT_EQ(unknown_command(app_, {"--help"}), "");
  EXPECT_EQ(unknown_command(app_, {"upgrade"}), "");
  EXPECT_EQ(unknown_command(app_, {"load", "verify"}), "");
  const auto nearest = unknown_command(app_, {"nodes", "drian"});
  EXPECT_NE(nearest.find("afloat nodes has no command 'drian'; did you mean 'drain'?"), std::string::npos) << nearest;
  const auto none = unknown_command(app_, {"frobnicate"});
  EXPECT_NE(none.find("afloat has no command 'frobnicate'. It has: serve"), std::string::npos) << none;
}

}  // namespace
}  // namespace afloat::cli
