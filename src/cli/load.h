#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/probe_ledger.h"

/// `afloat load`: the client that measures a site from outside, at a rate that does not depend on the answers.
namespace afloat::cli {

struct LoadOptions {
  std::string site;   ///< http://127.0.0.1:8080 (the load balancer)
  double rate = 400;  ///< requests per second
  int seconds = 60;
  std::string until_file;  ///< ends as soon as this file exists; `seconds` is then the limit
  int users = 50;
  std::string space;                   ///< pages to read
  std::string write_space = "AFLOAD";  ///< where this load writes; created when missing
  std::string admin_user = "admin";
  std::string admin_password;
  std::string ledger;  ///< folder, created when missing
  int connections = 128;
  bool quiet = false;      ///< no line per second
  std::string ready_file;  ///< written once the measured part begins; "" for none
};

struct LoadSummary {
  Counters counters;
  std::int64_t total = 0;
  std::int64_t failed = 0;
  std::int64_t acknowledged = 0;
  std::vector<std::string> reasons;  ///< why the run does not count as good; empty: good
};

/// Prepares users, pages and search words, then runs. Clients never retry. Blocks until the end.
/// Errors: the preparation failed (message says at what).
Result<LoadSummary> run_load(const LoadOptions& options);

/// One acknowledged write (or page) that is not as it was acknowledged.
struct Offender {
  std::string verdict;  ///< lost, stale, duplicated
  std::string what;     ///< "page 12 version 3 (title)": what was found where
};

struct VerifyReport {
  std::int64_t acknowledged = 0, verified = 0, lost = 0, stale = 0, duplicated = 0;
  std::int64_t altered = 0;  ///< of the lost ones: present, with another content
  std::vector<std::string> nodes;
  std::vector<Offender> offenders;
  bool good() const { return lost == 0 && stale == 0 && duplicated == 0 && verified == acknowledged; }
};

struct VerifyOptions {
  std::vector<std::string> nodes;  ///< base addresses, one per node: not through the load balancer
  std::string admin_user = "admin";
  std::string admin_password;
  int connections = 16;
};

/// Reads every acknowledged write back from each node. Lost: absent or other content on all of them;
/// stale: right on one node, not on another; duplicated: there more often than it was written.
/// Errors: unavailable when a node cannot be asked.
Result<VerifyReport> verify_ledger(const LedgerContents& ledger, const VerifyOptions& options);
std::string to_json(const VerifyReport& report);

}  // namespace afloat::cli
