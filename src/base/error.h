#pragma once
#include <expected>
#include <string>
#include <string_view>

/// Errors as values. Every function that can fail in a way we expect returns
/// `Result<T>`; exceptions are for broken invariants and failed start-up only.
namespace afloat {

/// What the caller should do about it. Add a kind only when some caller acts on it.
enum class ErrorKind {
  invalid_argument,     ///< the input is wrong: say so, do not repeat
  unauthenticated,      ///< no or wrong credentials
  permission_denied,    ///< known, but not allowed
  not_found,
  conflict,             ///< read again and redo
  failed_precondition,  ///< someone must change something first
  resource_exhausted,   ///< too large, too many
  unavailable,          ///< was not carried out: retry later
  deadline_exceeded,    ///< it may or may not have happened
  data_corrupted,
  internal,
};

/// The enumerator's name, as in logs and JSON.
std::string_view to_string(ErrorKind kind);

/// A kind, a message for the person who must act (what was found, what it
/// means, what to do), and optionally a machine code such as an SQLSTATE.
class Error {
 public:
  Error(ErrorKind kind, std::string message, std::string code = {})
      : kind_(kind), message_(std::move(message)), code_(std::move(code)) {}
  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& code() const { return code_; }

 private:
  ErrorKind kind_;
  std::string message_;
  std::string code_;
};

template <class T>
using Result = std::expected<T, Error>;

/// `return fail(ErrorKind::not_found, "...")` in any function that returns a Result.
inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string code = {}) {
  return std::unexpected(Error(kind, std::move(message), std::move(code)));
}

}  // namespace afloat
