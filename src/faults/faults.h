#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

/// What a test build does wrong, so that tests see what a bad release leads to. Declared here, called at a few places
/// of a node and of the upgrade tasks, and chosen at link: every release links fault_none.cc, in which nothing is
/// wrong, and a test build fault_profiles.cc, in which the stamp's fault profile says what is (version::stamp(),
/// `./run bundle --fault-profile P`). No flag of the compiler and no setting of a site turns one on.
///
/// A person can mend what is wrong without another program: where the environment variable AFLOAT_FAULT_MENDED names
/// a file that exists, a test build behaves well. It is asked for anew each time.
///
/// Thread-safety: any thread may call any of these.
namespace afloat::faults {

/// `afloat serve` has just begun. May end the process.
void process_started();

/// The node is whole and would become ACTIVE now, and must not.
bool keeps_from_active();

/// SIGTERM has come, and nothing is to happen.
bool loses_stop_signal();

struct RequestFault {
  std::chrono::milliseconds delay{0};  ///< to wait before the request is looked at
  bool fails = false;                  ///< to be answered with status 500 instead
};
/// A request has come. Health checks and figures (/status, /health, /metrics) are never touched.
RequestFault request_arrived(std::string_view method, std::string_view path);

/// What is said instead of `body`; nullopt: body itself.
std::optional<std::string> other_answer(std::string_view path, const std::string& body);

/// Why a task of this kind ("expand", "backfill", "contract") fails now, `done` of its parts (statements, batches)
/// being done; nullopt: it does not.
std::optional<std::string> task_fails(std::string_view kind, std::size_t done);

}  // namespace afloat::faults
