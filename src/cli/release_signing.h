#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/minisign.h"

namespace afloat::cli {

/// `afloat releases keygen` and `afloat releases sign`.
void add_signing_commands(CLI::App& releases, int& exit_code);

/// `afloat releases index` and `afloat releases fetch`.
void add_index_commands(CLI::App& releases, int& exit_code);

/// The folder named on the command line, else the config's, else ./catalogue.
std::string catalogue_of(const std::string& named, const std::string& config);

/// The secret key in `file`, with the password in `password_file` ("" without one). Errors: those of the files.
Result<minisign::SecretKey> secret_key_of(const std::string& file, const std::string& password_file);

/// The keys named on the command line, each a public key or a .pub file; where none is named, the trusted_keys of
/// the config, if that file is there. Errors: not_found, data_corrupted, invalid_argument (the config).
Result<std::vector<minisign::PublicKey>> trusted_keys_of(const std::vector<std::string>& named,
                                                         const std::string& config);

}  // namespace afloat::cli
