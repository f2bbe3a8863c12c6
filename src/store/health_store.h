#pragma once
#include <string>

#include "ports/database.h"
#include "rollout/facts.h"

/// What checks judge, as far as the database has it. Errors: as Database; undefined_table as code "42P01" where an
/// upgrade to 1.2.0 has not prepared the schema yet.
namespace afloat::store {

/// Puts one report in the place of the source's last one, and removes those of sources long gone.
Task<void> publish_facts(Database& database, std::string source, int build, std::string facts, Deadline deadline);

/// The reports alone; `reports_problem` says why where they can't be read.
Async<rollout::Facts> gather_reports(Database& database, Deadline deadline);
/// Everything the database can tell for the checks: the reports, and how it is itself. What can't be found out is
/// told in the facts, so this has no errors.
Async<rollout::Facts> gather_facts(Database& database, Deadline deadline);

}  // namespace afloat::store
