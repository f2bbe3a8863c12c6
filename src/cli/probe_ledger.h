#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// The record of every request that `afloat load` sent and of every write that the site acknowledged.
/// It is the witness of an upgrade: the report and the read-back afterwards work from this file alone,
/// so it reaches the disk within 100 ms and survives a kill of the load (a torn last line is ignored).
namespace afloat::cli {

/// One request that was due. `failure` is empty when it got exactly what it must get.
struct Outcome {
  std::int64_t at_ms = 0;  ///< intended start, milliseconds since 1970
  std::string kind;        ///< view, home, create, edit, ...
  double latency_ms = 0;   ///< from the intended start
  std::string failure;     ///< "status: 500 ..." ; the word before the colon is the failure's kind
  std::string node;        ///< who answered, where the answer says so
};

enum class WriteTarget { page, attachment };
enum class Certainty {
  acknowledged,
  unknown,  ///< sent, and no answer tells whether it was done
};

/// One write of this load: a page version, or an attachment.
struct WriteRecord {
  std::int64_t at_ms = 0;
  WriteTarget target = WriteTarget::page;
  Certainty certainty = Certainty::acknowledged;
  std::string id;       ///< page id or attachment id; "" for a creation without an answer
  std::string page_id;  ///< attachments: the page they hang on
  int version = 1;      ///< pages
  std::string digest;   ///< SHA-256 of the storage body or of the file
  std::string title;    ///< pages: title, which starts with `marker`; attachments: file name
  std::string marker;   ///< pages: unique in the site
  std::string link;     ///< attachments: download link
};

/// Running totals, once a second; what stays when the load is killed.
struct Counters {
  std::int64_t at_ms = 0;
  std::int64_t offered = 0;  ///< requests due so far
  std::int64_t sent = 0;     ///< written to a connection
  std::int64_t late = 0;     ///< of those, written more than 50 ms after their time
};

struct LoadMeta {
  std::string run;  ///< random, part of every marker
  std::string site;
  std::string space, write_space;
  double rate = 0;
  int users = 0;
  std::int64_t started_at_ms = 0;  ///< of the measured part
};

struct LedgerContents {
  LoadMeta meta;
  std::vector<Outcome> outcomes;
  std::vector<WriteRecord> writes;
  std::vector<Counters> counters;
  bool ended = false;  ///< false: the load was killed
  Counters totals() const;
  std::int64_t acknowledged() const;
};

/// Appends to DIR/ledger.jsonl. Not thread-safe.
class LedgerWriter {
 public:
  /// Errors: failed_precondition when the folder holds a ledger already or cannot be written.
  static Result<std::unique_ptr<LedgerWriter>> create(const std::string& folder);
  ~LedgerWriter();
  LedgerWriter(const LedgerWriter&) = delete;
  LedgerWriter& operator=(const LedgerWriter&) = delete;

  void meta(const LoadMeta& meta);
  void outcome(const Outcome& outcome);
  void write(const WriteRecord& record);
  void counters(const Counters& counters);
  void end(const Counters& counters);
  /// Hands everything to the operating system; call at least every 100 ms.
  Result<void> flush();

 private:
  explicit LedgerWriter(int file) : file_(file) {}
  int file_;
  std::string pending_;
};

/// Errors: not_found, data_corrupted (names the line).
Result<LedgerContents> read_ledger(const std::string& folder);

/// "status" of "status: 500 instead of 200".
std::string_view failure_kind(std::string_view failure);

}  // namespace afloat::cli
