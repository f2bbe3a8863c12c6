#pragma once
#include <sys/types.h>

#include <set>
#include <string>

#include "local/process.h"
#include "local/workplace.h"
#include "support/support.h"

/// What the tests of whole sites share: a space with pages, the roster, agents, and users who work meanwhile.
namespace afloat::test {

inline constexpr const char* node_names[] = {"node1", "node2", "node3"};

/// No conductor: for upgrades by hand.
SiteSetup without_conductor();

std::string message_of(const http::Response& response);
/// A page of space T for POST, and with a version for PUT.
std::string page_json(const std::string& title, const std::string& text, int version = 0);
/// Makes a catalogue in `folder` whose target release is packed, and signed, with this program and these web files.
/// Returns the folder.
std::string catalogue_with(const std::string& folder, const std::string& program, const std::string& web,
                           const std::string& fault_profile = "none");

/// Makes a catalogue of two releases in `folder`: the pair's target, and one behind it that is packed, and signed, with
/// `program`, which must be stamped `version`. Returns the folder.
std::string catalogue_behind_target(const std::string& folder, const std::string& version, const std::string& program,
                                    const std::string& web);

/// Signs it with the key of ./run test, where that made one.
void sign_bundle(const std::string& bundle);

/// Space T.
void make_space(SiteFixture& site);
/// Its id.
std::string make_page(HttpClient client, const std::string& title, const std::string& text = "first");
/// A request as the administrator, for those who want to see a broken connection too.
http::ClientRequest request_to(SiteFixture& site, const std::string& node, const std::string& method,
                               const std::string& path, const std::string& body = {});

/// What /rest/zdu/cluster of one node tells of each node: name -> field.
std::map<std::string, std::string> nodes_by(HttpClient client, const char* field);
std::map<std::string, std::string> all_on(const std::string& version);
/// Upgrade mode off, STABLE, every node and the cluster on `version`: the same from every node.
void expect_settled(SiteFixture& site, const std::string& version,
                    const std::set<std::string>& nodes = {"node1", "node2", "node3"});
/// Stops a node, switches it and waits until it serves again: a person's rolling step. ASSERT_NO_FATAL_FAILURE.
void replace(SiteFixture& site, const std::string& node, const std::string& version);
/// The latest upgrade run as REST gives it, through the balancer; empty where there is none.
boost::json::object latest_run(SiteFixture& site);
/// What the agent knows of a node.
boost::json::object agent_node(SiteFixture& site, const std::string& name);

/// What /proc tells of a process: its state ("" when it is not there) and its parent.
struct ProcessEntry {
  std::string state;
  pid_t parent = 0;
};
ProcessEntry process_entry(pid_t pid);
/// Dead, whether or not its parent has taken notice: what was killed without its parent waits long for init.
bool ended(pid_t pid);

/// Puts writes of page `id` ("too late", as `version`) and of new pages into the socket of a frozen node, wakes it with
/// SIGCONT, and expects that it acknowledges none of them and ends for good with 78 or 1. ASSERT_NO_FATAL_FAILURE.
void wake_with_late_writes(SiteFixture& site, const std::string& node, pid_t sleeper, const std::string& title,
                           const std::string& id, int version);
/// None of those writes is there.
void expect_no_late_write(HttpClient client, const std::string& id);

/// `afloat load` as a process of its own, so that it is outside of everything that is upgraded.
class Users {
 public:
  explicit Users(SiteFixture& site, int rate = 100);
  bool begin();
  /// They work for this long, undisturbed; false when they stopped of themselves.
  bool work(std::chrono::milliseconds time);
  std::optional<int> go_home();
  std::string ledger() const { return folder_.path() + "/ledger"; }
  std::string words() const { return process_.last_lines(15); }

 private:
  std::string stop_file() const { return folder_.path() + "/stop"; }
  std::string ready_file() const { return folder_.path() + "/ready"; }
  local::TempDir folder_;
  local::Process process_;
};

/// The users go home, and the promise holds: no request failed, and every acknowledged write reads back from each node.
/// Gives the nodes that answered. `at_least`: so many requests there must have been, or the test shows nothing.
std::set<std::string> expect_nothing_failed_or_lost(SiteFixture& site, Users& users, std::size_t at_least = 500);
/// The same but for the requests that failed: how many.
int expect_nothing_lost(SiteFixture& site, Users& users, std::size_t at_least = 500);

}  // namespace afloat::test
