#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace afloat::cli {

/// Gives every command that has none yet an example below its --help. Call once all commands are there.
void add_examples(CLI::App& app);

/// "" when the words name commands that there are. Otherwise what to say: CLI11 itself only tells that a
/// command is missing, not that it did not know the one that was given.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace afloat::cli
