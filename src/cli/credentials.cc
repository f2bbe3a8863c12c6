#include "cli/credentials.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/text.h"

namespace afloat::cli {

void add_credential_options(CLI::App& command, CredentialOptions& options) {
  if (const char* set = std::getenv("AFLOAT_USER"); set && *set) options.user = set;
  command.add_option("--user", options.user, "System administrator; without it: AFLOAT_USER");
  command.add_option("--password-file", options.password_file, "File with the password; without it: AFLOAT_PASSWORD");
}

void add_ca_option(CLI::App& command, std::string& ca_file) {
  if (const char* set = std::getenv("AFLOAT_CA"); set && *set) ca_file = set;
  command.add_option("--ca", ca_file, "For https: PEM file of the authorities to trust; without it: AFLOAT_CA, else the system's");
}

Result<SignIn> read_credentials(const CredentialOptions& options) {
  if (options.user.empty())
    return fail(ErrorKind::invalid_argument,
                "No user: set AFLOAT_USER, or give --user NAME of a system administrator.");
  if (!options.password_file.empty()) {
    std::ifstream file(options.password_file, std::ios::binary);
    if (!file)
      return fail(ErrorKind::not_found, fmt::format("The password file {} cannot be read.", options.password_file));
    const std::string text(std::istreambuf_iterator<char>(file), {});
    return SignIn{options.user, std::string(trim(text))};
  }
  const char* password = std::getenv("AFLOAT_PASSWORD");
  if (!password)
    return fail(ErrorKind::invalid_argument, "No password: set AFLOAT_PASSWORD, or give --password-file FILE.");
  return SignIn{options.user, password};
}

}  // namespace afloat::cli
