#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/minisign.h"

namespace afloat::cli {

/// `afloat releases keygen` and `afloat releases sign`.
void add_signing_commands(CLI::App& releases, int& exit_code);

/// The keys named on the command line, each a public key or a .pub file; where none is named, the trusted_keys of
/// the config, if that file is there. Errors: not_found, data_corrupted, invalid_argument (the config).
Result<std::vector<minisign::PublicKey>> trusted_keys_of(const std::vector<std::string>& named,
                                                         const std::string& config);

}  // namespace afloat::cli
