#pragma once
#include <boost/json/fwd.hpp>
#include <string>

#include "base/error.h"
#include "cli/probe_ledger.h"

/// The report of one upgrade: the run's journal, the load's ledger and the read-back, put together.
namespace afloat::cli {

/// `run` is what GET /rest/afloat/1/runs/{id} answers, `verify` what `afloat load verify` wrote.
boost::json::object make_report(const boost::json::object& run, const LedgerContents& ledger,
                                const boost::json::object& verify);

/// Self-contained page; no outside file, no script needed to read it.
std::string report_html(const boost::json::object& report);
/// The timeline alone, for a README.
std::string timeline_svg(const boost::json::object& report, int width, bool standalone);
/// What a person reads at the end of a run; `colour` adds terminal colours.
std::string report_text(const boost::json::object& report, bool colour);

/// Writes report.json, report.html and timeline.svg into `folder`.
/// Errors: not_found or data_corrupted for the inputs, failed_precondition when the folder cannot be written.
Result<boost::json::object> write_report(const std::string& run_file, const std::string& ledger_folder,
                                         const std::string& verify_file, const std::string& folder);

}  // namespace afloat::cli
