#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cli/load.h"
#include "cli/load_http.h"

namespace afloat::cli {

/// One load: users, pages and files that it knows, and the open loop. Internal to load*.cc.
/// Lifecycle: prepare(), then run(), both on `context`, which is single-threaded.
/// Ownership: context and ledger outlive this object; this object outlives its coroutines.
class Load {
 public:
  Load(boost::asio::io_context& context, LoadOptions options, SiteAddress address, LedgerWriter& ledger);

  /// Users, sign-ins, pages to read, search words, first pages and files. Nothing of it counts as load.
  Task<void> prepare();
  /// The open loop, until the time is over, the file appears, or stop().
  Async<void> run();
  void stop() { stopping_ = true; }
  LoadSummary summary() const;

 private:
  struct User {
    std::string name, password;
    std::string headers;  ///< Cookie and CSRF token, or Authorization
  };
  struct ReadPage {
    std::string id, title;
  };
  struct OwnPage {
    std::string id, title, marker;
    std::size_t owner = 0;
    int version = 1;         ///< last acknowledged
    int acknowledged = 1;    ///< its write number
    int written = 1;         ///< last write number given out
    bool busy = false;       ///< one edit at a time
    bool uncertain = false;  ///< an edit of unknown outcome may have raised the version
  };
  struct File {
    std::string link, digest;
  };
  enum class Kind { view, home, create, edit, upload, download, search, children, labels, history };
  struct Due {
    SteadyTime at{};
    bool counts = true;  ///< false while preparing
  };

  // load_prepare.cc
  Task<void> make_space();
  Task<void> make_user(std::size_t index);
  Task<void> sign_in(std::size_t index);
  Task<void> find_pages();
  Task<void> find_words();
  Task<void> first_content();
  Task<void> for_each(std::size_t count, std::function<Task<void>(std::size_t)> work);
  Async<void> for_each_worker(std::shared_ptr<struct ForEach> shared);

  // load.cc
  Async<void> perform(Kind kind, Due due);
  Async<std::string> view(Due due);
  Async<std::string> home(Due due);
  Async<std::string> create(Due due, std::size_t user);
  Async<std::string> edit(Due due);
  Async<std::string> upload(Due due);
  Async<std::string> download(Due due);
  Async<std::string> search(Due due);
  Async<std::string> small_read(Kind kind, Due due);
  /// Sends, checks with `check`, and records the outcome; returns the failure text.
  Async<std::string> request(std::string_view kind, Due due, std::string bytes,
                             std::function<std::string(const Answer&)> check);
  Async<void> every_second();
  Async<void> housekeeping();
  void record(std::string_view kind, Due due, const Answer& answer, std::string failure);
  void acknowledge(const WriteRecord& record);
  std::int64_t unix_ms(SteadyTime time) const;
  std::size_t random(std::size_t count);
  const User& any_user() { return users_[random(users_.size())]; }
  std::string page_body(std::string_view marker, int number);
  OwnPage* free_page();
  std::string message(const User& user, std::string_view method, std::string_view target,
                      std::string_view content_type = {}, std::string_view body = {}) const;
  Counters counters_now() const;

  boost::asio::io_context& context_;
  LoadOptions options_;
  ConnectionPool pool_;
  LedgerWriter& ledger_;
  std::mt19937_64 random_;
  std::string run_;
  std::string admin_headers_;
  std::vector<User> users_;
  std::vector<ReadPage> pages_;
  std::vector<std::string> words_;
  std::deque<OwnPage> own_;  ///< stable addresses
  std::vector<File> files_;
  int page_sequence_ = 0;
  int file_sequence_ = 0;

  bool stopping_ = false;
  bool finished_ = false;
  SteadyTime started_{};
  std::int64_t started_unix_ms_ = 0;
  Counters counters_;
  std::int64_t in_flight_ = 0;
  std::int64_t total_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t acknowledged_ = 0;
  std::vector<double> second_;  ///< latencies of the current second
  std::string first_failure_;
  Result<void> ledger_state_;
};

}  // namespace afloat::cli
