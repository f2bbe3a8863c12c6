#include "cli/release_signing.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "adapters/files/archive.h"
#include "agent/catalogue.h"
#include "base/text.h"
#include "server/config.h"

namespace afloat::cli {
namespace {

namespace fs = std::filesystem;

struct SigningOptions {
  std::string out, bundle, key, password_file;
};

int complain(const Error& error) {
  fmt::print(stderr, "afloat releases: {}\n", error.message());
  return 1;
}

/// "" without a file.
Result<std::string> password_of(const std::string& file) {
  if (file.empty()) return std::string();
  auto text = files::read_file(file);
  if (!text) return text;
  // One line, as minisign reads it from its standard input.
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  if (text->empty()) return fail(ErrorKind::invalid_argument, fmt::format("The password file {} is empty.", file));
  return text;
}

/// Never over an existing file: a lost signing key can't be had back.
Result<void> write_once(const std::string& path, std::string_view content, mode_t mode) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0 && errno == EEXIST)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} exists already and is left as it is. Name another folder with --out.", path));
  bool good = file >= 0 && ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
              ::fsync(file) == 0;
  const int reason = errno;
  if (file >= 0) ::close(file);
  if (good) return {};
  return fail(ErrorKind::internal, fmt::format("Can't write {}: {}", path, strerror(reason)));
}

int keygen(const SigningOptions& options) {
  const auto password = password_of(options.password_file);
  if (!password) return complain(password.error());
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error)
    return complain(Error(ErrorKind::internal, fmt::format("Can't make {}: {}", options.out, error.message())));
  const auto key = minisign::generate_key();
  const auto secret = minisign::secret_key_file(key, *password);
  if (!secret) return complain(secret.error());
  const std::string secret_file = options.out + "/afloat.key", public_file = options.out + "/afloat.pub";
  if (auto written = write_once(secret_file, *secret, 0600); !written) return complain(written.error());
  if (auto written = write_once(public_file, minisign::public_key_file(key.public_key()), 0644); !written)
    return complain(written.error());
  fmt::print("Key {}\n", minisign::shown_id(key.id()));
  fmt::print("  secret   {}   {}; keep it away from the site's hosts\n", secret_file,
             password->empty() ? "not encrypted" : "encrypted");
  fmt::print("  public   {}\n", public_file);
  fmt::print("In site.toml of every site that takes your releases:\n  trusted_keys = [\"{}\"]\n",
             minisign::public_key_text(key.public_key()));
  return 0;
}

int sign(const SigningOptions& options) {
  auto key = secret_key_of(options.key, options.password_file);
  if (!key) return complain(key.error());
  auto entry = agent::sign_bundle(fs::path(options.bundle).lexically_normal().string(), *key);
  if (!entry) return complain(entry.error());
  fmt::print("{}/manifest.json.minisig: afloat {}, digest {}, signed by key {}\n", entry->folder, entry->version,
             entry->digest.substr(0, 12), minisign::shown_id(key->id()));
  return 0;
}

}  // namespace

void add_signing_commands(CLI::App& releases, int& exit_code) {
  auto options = std::make_shared<SigningOptions>();
  auto* make = releases.add_subcommand("keygen", "Make a key pair for signing releases, in minisign's format");
  make->add_option("--out", options->out, "Folder for afloat.key (secret) and afloat.pub")->required();
  make->add_option("--password-file", options->password_file, "Encrypt the secret key with this file's password");
  make->callback([options, &exit_code] { exit_code = keygen(*options); });

  auto* command = releases.add_subcommand("sign", "Sign a bundle: writes its manifest.json.minisig");
  command->add_option("bundle", options->bundle, "Folder of the bundle: CATALOGUE/VERSION")
      ->required()
      ->check(CLI::ExistingDirectory);
  command->add_option("--key", options->key, "Secret key of 'afloat releases keygen' or of minisign")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--password-file", options->password_file, "File with the key's password");
  command->callback([options, &exit_code] { exit_code = sign(*options); });
}

std::string catalogue_of(const std::string& named, const std::string& config) {
  if (!named.empty()) return named;
  std::error_code error;
  if (fs::exists(config, error)) {
    auto site = server::load_config(config);
    if (site && !site->catalogue.empty()) return site->catalogue;
  }
  return "catalogue";
}

Result<minisign::SecretKey> secret_key_of(const std::string& file, const std::string& password_file) {
  const auto password = password_of(password_file);
  if (!password) return std::unexpected(password.error());
  auto text = files::read_file(file);
  if (!text) return std::unexpected(text.error());
  return minisign::read_secret_key(*text, *password, file);
}

Result<std::vector<minisign::PublicKey>> trusted_keys_of(const std::vector<std::string>& named,
                                                         const std::string& config) {
  std::error_code error;
  if (named.empty()) {
    if (!fs::exists(config, error)) return std::vector<minisign::PublicKey>();
    auto site = server::load_config(config);
    if (!site) return std::unexpected(site.error());
    return std::move(site->trusted_keys);
  }
  std::vector<minisign::PublicKey> keys;
  for (const auto& name : named) {
    const bool file = !name.starts_with("RW") || fs::exists(name, error);
    auto text = file ? files::read_file(name) : Result<std::string>(name);
    if (!text) return std::unexpected(text.error());
    auto key = minisign::read_public_key(*text, name);
    if (!key) return std::unexpected(key.error());
    keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace afloat::cli
