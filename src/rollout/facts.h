#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What checks judge, beside the roster: gathered by adapters, judged by health.h and upgrade_checks.h.
///
/// No node asks another. Each node, and the conductor that leads, writes what it sees into the database every few
/// seconds, as JSON with its time; whoever is asked for the checks reads all of it there and looks at the database
/// itself. A number that could not be found out is -1, and the text beside it says why.
namespace afloat::rollout {

/// What somebody saw is worth something for this long; they write every publish_facts_every_ms.
inline constexpr std::int64_t facts_live_ms = 20'000;
inline constexpr std::int64_t publish_facts_every_ms = 5'000;
/// The conductor's row among the reports; a node's is its name.
inline constexpr const char* conductor_source = "conductor/";
/// Nodes write what they see from this build on (1.2.0).
inline constexpr int first_build_with_facts = 10'020'000;

struct Disk {
  std::int64_t free_bytes = -1, total_bytes = -1;
  std::string problem;  ///< why it can't be told, or can't be written
};

/// The files of the release that a node runs from, against the manifest beside them.
struct ReleaseFiles {
  bool in_bundle = false;            ///< false: the program lies in no unpacked bundle
  std::vector<std::string> changed;  ///< paths that differ or are gone; the first few
  std::string problem;               ///< why it can't be told
};

/// Trouble that a node has run into and remembers (server/findings.h).
struct FoundByNode {
  std::string check;  ///< "files", "handles"
  std::string message;
  std::int64_t count = 0, last_ms = 0;
};

struct NodeFacts {
  std::int64_t at_ms = 0;  ///< database time of the report
  int build = 0;
  std::int64_t open_files = -1, open_files_limit = -1;
  std::int64_t process_limit = -1;  ///< 0: none
  Disk data, shared_home;
  std::string marker;                          ///< what it has written into the shared home, under its name
  std::map<std::string, std::string> markers;  ///< what it reads there, by name of the node that wrote it
  /// Its clock against the database's: the difference that is certain, with half the round trip taken off.
  std::optional<std::int64_t> clock_off_ms;
  ReleaseFiles release;
  std::map<std::string, std::string> settings;      ///< site-wide key of its configuration -> digest of the value
  bool tls = false;                                 ///< it serves HTTPS
  std::optional<std::int64_t> certificate_end_ms;   ///< Unix time
  std::optional<std::int64_t> status_asked_ago_ms;  ///< since somebody asked it for /status, or since it started
  std::vector<FoundByNode> findings;
};

struct BalancerFacts {
  std::string problem;  ///< why the balancer does not say
  std::string status;   ///< "UP", "no check", ...
  std::string check;    ///< how it last checked: "L7OK 200"
  int weight = 0, full_weight = 0;
};
struct HostFacts {
  std::string problem;  ///< why its agent does not answer
  std::string agent_version;
  std::map<std::string, std::string> releases;  ///< version -> digest of its manifest; "": an older agent
  struct Node {
    std::string version;  ///< that its link points to
    bool running = false;
  };
  std::map<std::string, Node> nodes;  ///< by name
};
/// As the leading conductor sees it.
struct ConductorFacts {
  std::int64_t at_ms = 0;
  int build = 0;
  std::map<std::string, HostFacts> hosts;
  std::map<std::string, BalancerFacts> balancer;  ///< by node
};

/// A session of the database with a transaction that has been open for long.
struct LongTransaction {
  std::int64_t pid = 0;  ///< 0: a prepared transaction, `application` is its id
  std::string application, user, state;
  std::int64_t age_ms = 0;
};
struct SilentTask {
  std::string title, node;
  std::int64_t silent_ms = 0;
};

/// What the database tells of itself.
struct DatabaseFacts {
  int version_number = 0;  ///< 150008
  std::string version, name, user;
  bool may_create = false;      ///< tables, in its schema
  std::string not_owned;        ///< a table that is not the user's: it can't be altered or indexed
  bool settings_arrive = true;  ///< what a session asks for when it begins holds: no pooler has dropped it
  bool embedded = false;        ///< started by `afloat up`, for trials
  int connections = 0, connections_limit = 0;
  int hidden_sessions = 0;  ///< of other roles, whose transactions can't be seen
  std::vector<LongTransaction> long_transactions;
  std::vector<SilentTask> silent_tasks;
};
struct SearchIndexFacts {
  std::int64_t pages = 0, missing = 0, old_form = 0;
  bool finalized = false;  ///< the release that brought the new form is
};

/// A request to base_url, sent by the node that was asked.
struct BaseUrlFacts {
  std::string url;
  std::string problem;            ///< why there was no answer
  bool is_node = false;           ///< what answered is a node of this site
  std::optional<bool> forwarded;  ///< it arrived with X-Forwarded-For; nullopt: an older node answered
};

struct Facts {
  std::string reports_problem;  ///< why nobody's report could be read
  std::map<std::string, NodeFacts> nodes;
  std::optional<ConductorFacts> conductor;
  std::optional<DatabaseFacts> database;
  std::string database_problem;
  std::optional<SearchIndexFacts> search_index;
  std::string search_index_problem;
  std::optional<BaseUrlFacts> base_url;
};

/// One report as it lies in the database. Fields that are not there stay unknown: it may be of another release.
std::string to_json(const NodeFacts& facts);
std::string to_json(const ConductorFacts& facts);
/// Without at_ms and build, which are columns.
NodeFacts node_facts_from(std::string_view json);
ConductorFacts conductor_facts_from(std::string_view json);

}  // namespace afloat::rollout
