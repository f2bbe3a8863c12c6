#pragma once
#include <string>
#include <vector>

/// What of a libpq connection string may be shown to others. Pure.
namespace afloat::postgres {

/// As key='value' with only what tells where the database is (host, port, dbname, user, sslmode and the like); every
/// other value is ***. A string that libpq can't read gives "***" alone.
std::string without_secrets(const std::string& connection);
/// Values that must not appear anywhere: passwords.
std::vector<std::string> secrets_of(const std::string& connection);

}  // namespace afloat::postgres
