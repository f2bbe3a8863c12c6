#include "adapters/http/token.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "adapters/http/file_stamp.h"
#include "base/hash.h"
#include "base/text.h"

namespace afloat::http {

namespace {

constexpr std::size_t min_characters = 32;

bool is_token(std::string_view text) {
  return text.size() >= min_characters && std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) || std::strchr("-._~+/=", c) != nullptr;
         });
}

}  // namespace

Result<std::vector<std::string>> read_tokens(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0 && errno != EACCES)
    return fail(ErrorKind::not_found, fmt::format("The token file {} can't be read: {}. Make one: (umask 077; openssl rand -hex 32 > {}).",
                                                  path, std::strerror(errno), path));
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(ErrorKind::permission_denied,
                fmt::format("The token file {} can't be read: {}. Give the user that runs this program the right to read it.",
                            path, std::strerror(errno)));
  if ((found.st_mode & (S_IROTH | S_IWOTH)) != 0)
    return fail(ErrorKind::permission_denied,
                fmt::format("The token file {} is open to everybody on this machine, and who has a token commands the host: "
                            "chmod 600 {}.", path, path));
  std::vector<std::string> tokens;
  const std::string text(std::istreambuf_iterator<char>(file), {});
  for (const auto& line : split(text, '\n')) {
    const auto token = trim(line);
    if (token.empty() || token.starts_with('#')) continue;
    if (!is_token(token))
      return fail(ErrorKind::invalid_argument,
                  fmt::format("The token file {} has a line that is no token: each is {} or more letters, digits and -._~+/=. "
                              "Make one with: openssl rand -hex 32.", path, min_characters));
    tokens.emplace_back(token);
  }
  if (tokens.empty())
    return fail(ErrorKind::invalid_argument, fmt::format("The token file {} has no token. Make one: openssl rand -hex 32 > {}.", path, path));
  return tokens;
}

struct TokenGuard::State {
  std::string path;
  std::function<void(std::string)> tell;
  FileStamp stamp;
  std::vector<std::string> tokens;
};

TokenGuard::TokenGuard(std::unique_ptr<State> state) : state_(std::move(state)) {}
TokenGuard::~TokenGuard() = default;

Result<std::unique_ptr<TokenGuard>> TokenGuard::open(std::string path, std::function<void(std::string)> tell) {
  const auto stamp = stamp_of(path);
  auto tokens = read_tokens(path);
  if (!tokens) return std::unexpected(tokens.error());
  return std::unique_ptr<TokenGuard>(
      new TokenGuard(std::make_unique<State>(std::move(path), std::move(tell), stamp, std::move(*tokens))));
}

Result<void> TokenGuard::check(const Request& request) {
  if (const auto stamp = stamp_of(state_->path); stamp != state_->stamp) {
    state_->stamp = stamp;
    if (auto tokens = read_tokens(state_->path)) {
      state_->tokens = std::move(*tokens);
      state_->tell(fmt::format("{} token(s) read from {}", state_->tokens.size(), state_->path));
    } else {
      state_->tell(tokens.error().message() + " The earlier tokens stay in force.");
    }
  }
  constexpr std::string_view scheme = "bearer ";
  const auto header = request.headers.get("Authorization");
  if (header.empty())
    return fail(ErrorKind::unauthenticated,
                "This agent wants a token with each request (Authorization: Bearer ...), and there is none. Name the file that "
                "has it as token_file of this host in the site's configuration.");
  const bool bearer = header.size() > scheme.size() && equals_ignoring_case(header.substr(0, scheme.size()), scheme);
  const auto sent = bearer ? trim(header.substr(scheme.size())) : std::string_view();
  // Digests are of one length, so the time tells nothing of a token's, nor of how much of it fits; and every one is
  // compared, whether or not an earlier one fitted.
  const auto digest = sha256_hex(sent);
  bool fits = false;
  for (const auto& token : state_->tokens) fits |= equal_secrets(digest, sha256_hex(token));
  if (fits) return {};
  return fail(ErrorKind::unauthenticated,
              "The token is not one of those that this agent accepts. The first line of the token_file of who asks must be a "
              "line of the agent's.");
}

}  // namespace afloat::http
