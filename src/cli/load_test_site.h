#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// A site in memory that speaks enough of the REST API for `afloat load`, and that misbehaves when told to:
/// the load and its ledger are proved by what they say about known faults.
namespace afloat::cli::test {

enum class Fault {
  answer_500,
  answer_404,
  redirect,
  close,
  truncate,
  wrong_body,
  commit_then_close,
  answer_then_close
};

class MisbehavingSite {
 public:
  /// Listens on `nodes` loopback ports; all of them show the same content until told otherwise.
  explicit MisbehavingSite(int nodes);
  ~MisbehavingSite();
  std::string url(int node = 0) const;

  /// The next request of this kind (view, home, search, labels, edit, ...) gets this fault, once.
  void arm(const std::string& kind, Fault fault);
  std::size_t armed() const;

  // What happens to acknowledged writes behind the load's back. Each picks a page that has not been touched
  // yet and tells its id; "" when there is none.
  std::string lose_page();           ///< a page with one version and no file disappears
  std::string change_version();      ///< the body of an old version is another
  std::string duplicate_page();      ///< the page is there twice
  std::string make_stale(int node);  ///< this node shows the version before the current one
  std::string lose_file();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace afloat::cli::test
