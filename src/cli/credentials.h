#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "base/error.h"

/// Sign-in of commands that talk to a site: never a password on the command line, where `ps` shows it.
namespace afloat::cli {

struct CredentialOptions {
  std::string user;           ///< --user or AFLOAT_USER
  std::string password_file;  ///< --password-file; else AFLOAT_PASSWORD
};
struct SignIn {
  std::string user, password;
};
/// --ca or AFLOAT_CA: whom to trust for https.
void add_ca_option(CLI::App& command, std::string& ca_file);
void add_credential_options(CLI::App& command, CredentialOptions& options);
/// invalid_argument that says what to set; not_found when the file cannot be read.
Result<SignIn> read_credentials(const CredentialOptions& options);

}  // namespace afloat::cli
