#pragma once
#include <sqlite3.h>

#include <atomic>
#include <cstdint>

namespace afloat::sqlite {

/// What the functions of one connection read; outlives it.
struct FunctionState {
  std::int64_t now_us = 0;  ///< now(): one moment for a whole transaction, in microseconds since 1970
  std::atomic<std::int64_t>* last_page_id = nullptr;  ///< next_page_id() counts it up; shared by all connections
};

/// The functions that the statements of the stores call and SQLite does not have: now(), next_page_id(), lower()
/// for every alphabet, sha256(), convert_to(), encode(). Returns an SQLite result code.
int add_functions(sqlite3* connection, FunctionState& state);

}  // namespace afloat::sqlite
