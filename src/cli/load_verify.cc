#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "base/hash.h"
#include "base/json_fields.h"
#include "base/text.h"
#include "cli/load.h"
#include "cli/load_checks.h"
#include "cli/load_http.h"

/// The read-back: every acknowledged write, from every node. Reading may be repeated (it is not the load),
/// but what a node answers in the end is what counts.
namespace afloat::cli {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

/// What one node shows of one page version or file.
struct Seen {
  enum class State { right, absent, other } state = State::absent;
  std::string what;  ///< for people, when it is not right
};

/// All that the ledger knows of one page.
struct PageFacts {
  std::string title;
  std::map<int, std::string> acknowledged;       ///< version -> digest
  std::map<int, std::set<std::string>> unknown;  ///< may exist
  int last_acknowledged() const { return acknowledged.empty() ? 0 : acknowledged.rbegin()->first; }
  int highest_allowed() const { return std::max(last_acknowledged(), unknown.empty() ? 0 : unknown.rbegin()->first); }
};

struct NodeView {
  std::string url;
  std::unique_ptr<ConnectionPool> pool;
  std::map<std::pair<std::string, int>, Seen> versions;  ///< (page id, version)
  std::map<std::string, Seen> files;                     ///< attachment id
  std::map<std::string, int> copies;                     ///< what exists too often -> how often more
  std::map<std::string, std::set<std::string>> pages_by_marker;
};

class Verifier {
 public:
  Verifier(asio::io_context& context, const LedgerContents& ledger, const VerifyOptions& options)
      : context_(context), ledger_(ledger), options_(options) {
    headers_ = fmt::format("Authorization: Basic {}\r\n",
                           to_base64(fmt::format("{}:{}", options.admin_user, options.admin_password)));
    for (const auto& w : ledger.writes) {
      if (w.target == WriteTarget::attachment) {
        files_.push_back(&w);
      } else if (!w.id.empty()) {
        auto& page = pages_[w.id];
        page.title = w.title;
        if (w.certainty == Certainty::acknowledged)
          page.acknowledged[w.version] = w.digest;
        else
          page.unknown[w.version].insert(w.digest);
      }
    }
  }

  Result<VerifyReport> run() {
    for (const auto& url : options_.nodes) {
      auto address = parse_site_address(url);
      if (!address) return std::unexpected(address.error());
      auto& node = nodes_.emplace_back();
      node.url = url;
      node.pool = std::make_unique<ConnectionPool>(context_.get_executor(), *address, options_.connections);
      if (auto resolved = node.pool->resolve(); !resolved) return std::unexpected(resolved.error());
    }
    std::vector<const std::pair<const std::string, PageFacts>*> pages;
    for (const auto& entry : pages_) pages.push_back(&entry);
    for (auto& node : nodes_) {
      work_.push_back({&node, Work::What::list, 0});
      for (std::size_t i = 0; i < pages.size(); ++i) work_.push_back({&node, Work::What::page, i});
      for (std::size_t i = 0; i < files_.size(); ++i) work_.push_back({&node, Work::What::file, i});
    }
    page_list_ = std::move(pages);
    const auto workers = static_cast<std::size_t>(options_.connections) * nodes_.size();
    for (std::size_t i = 0; i < workers; ++i)
      asio::co_spawn(context_, worker(), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
      });
    context_.run();
    if (!outcome_) return std::unexpected(outcome_.error());
    return judge();
  }

 private:
  struct Work {
    NodeView* node;
    enum class What { list, page, file } what;
    std::size_t index;
  };

  Async<void> worker() {
    while (next_ < work_.size() && outcome_) {
      const Work work = work_[next_++];
      Result<void> done;
      switch (work.what) {
        case Work::What::list:
          done = co_await list_pages(work.node);
          break;
        case Work::What::page:
          done = co_await read_page(work.node, page_list_[work.index]);
          break;
        case Work::What::file:
          done = co_await read_file(work.node, files_[work.index]);
          break;
      }
      if (!done) outcome_ = done;
    }
  }

  /// A complete answer below 500; repeated while there is none.
  Task<Answer> get(NodeView* node, std::string target) {
    std::string why;
    for (int attempt = 0; attempt < 5; ++attempt) {
      auto answer = co_await node->pool->exchange(request_bytes(node->pool->address(), "GET", target, headers_),
                                                  std::chrono::steady_clock::now() + std::chrono::seconds(15));
      if (answer.status == 401 || answer.status == 403)
        co_return fail(
            ErrorKind::permission_denied,
            fmt::format("{} refuses {} to user {} ({}): give the administrator's password in AFLOAT_PASSWORD.",
                        node->url, target, options_.admin_user, answer.status));
      if (answer.failure.empty() && answer.status < 500 && answer.status != 429) co_return answer;
      why = answer.failure.empty() ? fmt::format("status {}", answer.status) : answer.failure;
      asio::steady_timer pause(context_, std::chrono::milliseconds(300));
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return fail(
        ErrorKind::unavailable,
        fmt::format("{} did not answer {} in five attempts ({}); the writes could not be read back. Start the "
                    "node and verify again.",
                    node->url, target, why));
  }

  Task<void> list_pages(NodeView* node) {
    constexpr int limit = 100;
    for (int start = 0;; start += limit) {
      auto answer = co_await get(node, fmt::format("/rest/api/content?spaceKey={}&type=page&limit={}&start={}",
                                                   url_encode(ledger_.meta.write_space), limit, start));
      if (!answer) co_return std::unexpected(answer.error());
      json::object o;
      if (auto failure = check_json(*answer, o); !failure.empty())
        co_return fail(ErrorKind::unavailable, fmt::format("{} does not list the pages of space {}: {}", node->url,
                                                           ledger_.meta.write_space, failure));
      const auto* results = array_at(o, "results");
      if (!results) break;
      for (const auto& entry : *results) {
        if (!entry.is_object()) continue;
        const auto title = string_or(entry.get_object(), "title");
        node->pages_by_marker[title.substr(0, title.find(' '))].insert(string_or(entry.get_object(), "id"));
      }
      if (static_cast<int>(results->size()) < limit) break;
    }
    co_return Result<void>{};
  }

  /// Compares one answer with what was acknowledged.
  static Seen compare(const Answer& answer, int version, const std::string& title, const std::string& digest) {
    if (answer.status != 200) return {Seen::State::absent, fmt::format("status {}", answer.status)};
    json::object o;
    if (auto failure = check_json(answer, o); !failure.empty()) return {Seen::State::other, failure};
    const auto* v = object_at(o, "version");
    const auto number = v ? int_or(*v, "number") : 0;
    if (number != version)
      return {number < version ? Seen::State::absent : Seen::State::other, fmt::format("shows version {}", number)};
    if (string_or(o, "title") != title) return {Seen::State::other, "another title"};
    const auto* body = object_at(o, "body");
    const auto* storage = body ? object_at(*body, "storage") : nullptr;
    if (!storage) return {Seen::State::absent, "no body"};
    if (sha256_hex(string_or(*storage, "value")) != digest) return {Seen::State::other, "another body"};
    return {Seen::State::right, {}};
  }

  Task<void> read_page(NodeView* node, const std::pair<const std::string, PageFacts>* entry) {
    const auto& [id, facts] = *entry;
    const std::string target = "/rest/api/content/" + id + "?expand=body.storage,version";
    auto current = co_await get(node, target);
    if (!current) co_return std::unexpected(current.error());
    json::object o;
    int current_version = 0;
    if (check_json(*current, o).empty())
      if (const auto* v = object_at(o, "version")) current_version = static_cast<int>(int_or(*v, "number"));
    const int last = facts.last_acknowledged();
    // More versions than were ever written: one write was carried out twice (or somebody else wrote).
    if (current_version > facts.highest_allowed())
      node->copies[fmt::format("page {} ({})", id, facts.title)] = current_version - facts.highest_allowed();
    for (const auto& [version, digest] : facts.acknowledged) {
      auto& seen = node->versions[{id, version}];
      if (version == current_version || (version == last && current_version < last) || current_version == 0) {
        seen = compare(*current, version, facts.title, digest);
        continue;
      }
      auto older = co_await get(node, fmt::format("{}&version={}", target, version));
      if (!older) co_return std::unexpected(older.error());
      seen = compare(*older, version, facts.title, digest);
    }
    co_return Result<void>{};
  }

  Task<void> read_file(NodeView* node, const WriteRecord* file) {
    auto listed =
        co_await get(node, fmt::format("/rest/api/content/{}/child/attachment?limit=200&expand=version&filename={}",
                                       file->page_id, url_encode(file->title)));
    if (!listed) co_return std::unexpected(listed.error());
    json::object o;
    int copies = 0;
    if (check_json(*listed, o).empty())
      if (const auto* results = array_at(o, "results"))
        for (const auto& entry : *results) {
          if (!entry.is_object() || string_or(entry.get_object(), "title") != file->title) continue;
          const auto* v = object_at(entry.get_object(), "version");
          copies += v ? static_cast<int>(int_or(*v, "number", 1)) : 1;
        }
    const auto name = fmt::format("attachment {} of page {}", file->title, file->page_id);
    if (copies > 1) node->copies[name] = copies - 1;
    if (file->certainty == Certainty::unknown) co_return Result<void>{};
    auto& seen = node->files[file->id];
    auto answer = co_await get(node, file->link);
    if (!answer) co_return std::unexpected(answer.error());
    if (answer->status != 200)
      seen = {Seen::State::absent, fmt::format("download gives status {}", answer->status)};
    else if (sha256_hex(answer->body) != file->digest)
      seen = {Seen::State::other, "download gives other bytes"};
    else if (copies == 0)
      seen = {Seen::State::absent, "its page does not list it"};
    else
      seen = {Seen::State::right, {}};
    co_return Result<void>{};
  }

  void judge_write(VerifyReport& report, const std::string& name, const std::vector<const Seen*>& seen) const {
    ++report.acknowledged;
    std::size_t right = 0;
    bool altered = true;
    std::string found;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      right += seen[i]->state == Seen::State::right;
      altered = altered && seen[i]->state == Seen::State::other;
      if (seen[i]->state != Seen::State::right)
        found += fmt::format("{}{}: {}", found.empty() ? "" : "; ", nodes_[i].url, seen[i]->what);
    }
    if (right == seen.size()) {
      ++report.verified;
    } else if (right > 0) {
      ++report.stale;
      report.offenders.push_back({"stale", name + ": " + found});
    } else {
      ++report.lost;
      report.altered += altered;
      report.offenders.push_back({"lost", fmt::format("{}: {}{}", name, altered ? "altered; " : "", found)});
    }
  }

  VerifyReport judge() const {
    VerifyReport report;
    report.nodes = options_.nodes;
    std::vector<const Seen*> seen(nodes_.size());
    for (const auto& [id, facts] : pages_)
      for (const auto& [version, digest] : facts.acknowledged) {
        for (std::size_t i = 0; i < nodes_.size(); ++i) seen[i] = &nodes_[i].versions.at({id, version});
        judge_write(report, fmt::format("page {} version {} ({})", id, version, facts.title), seen);
      }
    for (const auto* file : files_) {
      if (file->certainty == Certainty::unknown) continue;
      for (std::size_t i = 0; i < nodes_.size(); ++i) seen[i] = &nodes_[i].files.at(file->id);
      judge_write(report, fmt::format("attachment {} {} of page {}", file->id, file->title, file->page_id), seen);
    }
    std::map<std::string, int> copies;  // seen from any node; counted once
    for (const auto& node : nodes_) {
      for (const auto& [what, more] : node.copies) copies[what] = std::max(copies[what], more);
      for (const auto& w : ledger_.writes) {
        if (w.target != WriteTarget::page) continue;
        const auto found = node.pages_by_marker.find(w.marker);
        if (found == node.pages_by_marker.end() || found->second.size() < 2) continue;
        auto& more = copies[fmt::format("page ({})", w.title)];
        more = std::max(more, static_cast<int>(found->second.size()) - 1);
      }
    }
    for (const auto& [what, more] : copies) {
      report.duplicated += more;
      report.offenders.push_back({"duplicated", fmt::format("{}: there {} time{} more than it was written", what, more,
                                                            more == 1 ? "" : "s")});
    }
    return report;
  }

  asio::io_context& context_;
  const LedgerContents& ledger_;
  const VerifyOptions& options_;
  std::string headers_;
  std::map<std::string, PageFacts> pages_;
  std::vector<const std::pair<const std::string, PageFacts>*> page_list_;
  std::vector<const WriteRecord*> files_;
  std::deque<NodeView> nodes_;
  std::vector<Work> work_;
  std::size_t next_ = 0;
  Result<void> outcome_;
};

}  // namespace

Result<VerifyReport> verify_ledger(const LedgerContents& ledger, const VerifyOptions& options) {
  if (options.nodes.empty())
    return fail(ErrorKind::invalid_argument, "No node to read back from: give each node's own address with --node.");
  asio::io_context context(1);
  return Verifier(context, ledger, options).run();
}

std::string to_json(const VerifyReport& report) {
  json::array offenders;
  for (std::size_t i = 0; i < std::min<std::size_t>(report.offenders.size(), 200); ++i)
    offenders.push_back({{"verdict", report.offenders[i].verdict}, {"what", report.offenders[i].what}});
  json::array nodes;
  for (const auto& node : report.nodes) nodes.emplace_back(node);
  return json::serialize(json::object{{"acknowledged", report.acknowledged},
                                      {"verified", report.verified},
                                      {"lost", report.lost},
                                      {"stale", report.stale},
                                      {"duplicated", report.duplicated},
                                      {"altered", report.altered},
                                      {"nodes", std::move(nodes)},
                                      {"offenders", std::move(offenders)}});
}

}  // namespace afloat::cli
