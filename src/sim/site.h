#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/authority.h"
#include "ports/load_balancer.h"
#include "sim/checker.h"
#include "sim/database.h"
#include "sim/node.h"
#include "sim/options.h"

namespace afloat::sim {

/// What an agent keeps on disk, and its process. One node per host.
class Host {
 public:
  enum class Serves { always, as_surge_node };
  Host(Site& site, int number, Serves serves = Serves::always);
  std::string name() const;
  std::string node_name() const;

  void start_agent();
  void crash_agent();
  const std::shared_ptr<Actor>& agent() const { return agent_; }
  const std::shared_ptr<NodeProcess>& node() const { return node_; }
  bool node_runs() const { return node_ && node_->alive(); }
  /// `kill -9`, from outside.
  void crash_node();

  // As the API has them; they arrive at the agent's process.
  void announce(LeaderLease lead, Reply<HostReport> reply);
  void report(Reply<HostReport> reply);
  void execute(agent::AgentCommand command, Reply<void> reply);

  int broken_starts = 0;         ///< of the new release: so many processes end at once
  bool keeps_node_down = false;  ///< a fault: it starts nothing
  std::string link() const { return link_; }
  LeaderLease known() const { return known_; }

 private:
  HostReport make_report() const;
  Result<void> accept(const LeaderLease& lead);
  void take_up(agent::AgentCommand command, Reply<void> reply);
  void carry_out(const agent::AgentCommand& command, Reply<void> done);
  void next_command();
  void launch();
  void node_ended(int code);
  void stop_node(Micros timeout, Reply<void> done);
  void expand_release(Reply<void> done);
  void expand_step(std::shared_ptr<Actor> process, int turn, Reply<void> done);

  Site& site_;
  int number_;
  std::shared_ptr<Actor> agent_;
  std::uint64_t agent_life_ = 0;
  // On disk.
  LeaderLease known_;
  std::set<std::string> done_, releases_{old_version};
  std::string link_ = old_version;
  bool wanted_ = true, ephemeral_ = false;
  int id_life_ = 0;  ///< of an ephemeral node: a new id after each clean end
  int restarts_ = 0, last_exit_ = 0;
  // In the agent's memory.
  bool busy_ = false, stopping_ = false, refused_ = false;
  std::vector<std::pair<agent::AgentCommand, Reply<void>>> waiting_;
  std::vector<std::function<void()>> on_end_;
  Micros delay_ = 0, started_ = 0;

  std::shared_ptr<NodeProcess> node_;
  int incarnations_ = 0;
  std::shared_ptr<int> expand_token_ = std::make_shared<int>(0);
};

/// HAProxy: health checks, drain and maint, slowstart, sessions. A reload forgets what it was told.
class Balancer : public Actor {
 public:
  Balancer(Site& site, int nodes);
  void begin();
  void add(int node);
  Result<void> remove(int node);
  bool knows(int node) const { return servers_.contains(node); }
  void set(int node, Traffic traffic);
  Result<BackendView> view(int node) const;
  /// The node that gets the next request; 0 when there is none.
  int pick();
  void request_begins(int node) { ++servers_.at(node).sessions; }  // of one that pick() gave
  void request_ends(int node, int generation);
  int generation() const { return generation_; }
  void reload();
  Micros lag = 0;  ///< until what it was told is in force
  bool down = false;

 private:
  void check_health(int node);
  struct Server {
    Traffic traffic = Traffic::ready;
    bool up = true;
    int failed = 0, passed = 0, sessions = 0;
    Micros up_since = -second;
  };
  Site& site_;
  const int configured_;  ///< nodes 1 to this are in its configuration
  std::map<int, Server> servers_;
  int generation_ = 0;
};

/// Everything of one seed but the conductors and the plan of its faults.
class Site {
 public:
  /// `surge`: one more host, whose node stands by.
  Site(Engine& engine, Coverage& coverage, Bug bug, int nodes, bool surge);
  const int surge;  ///< number of that node; 0: there is none
  ~Site();
  Engine& engine;
  Coverage& coverage;
  const Bug bug;
  Checker checker;
  Database database;
  std::map<int, std::unique_ptr<Host>> hosts;
  std::shared_ptr<Balancer> balancer;
  std::shared_ptr<Actor> people;

  void begin();
  int number_of(const std::string& node) const;
  Host& host_named(const std::string& host) { return *hosts.at(std::stoi(host.substr(4))); }
  /// One operation on the database. `late`: one batch, which may still be carried out when a stalled link
  /// heals; anything else is a conversation, and its transaction is rolled back after two idle seconds.
  /// `stuck`: half of the batch has arrived, the rest comes so much later, whatever became of the sender.
  template <class T>
  void ask_database(std::shared_ptr<Actor> from, std::function<Result<T>(Database&)> work, Micros limit, Reply<T> done,
                    bool late = false, Micros stuck = 0) {
    engine.rpc<T>(std::move(from), at_database, serve_database<T>(std::move(work), late, stuck), engine.now() + limit,
                  std::move(done));
  }
  template <class T>
  Serve<T> serve_database(std::function<Result<T>(Database&)> work, bool late, Micros stuck = 0) {
    return [this, work = std::move(work), late, stuck, sent = engine.now()](Reply<T> reply) {
      if (!late && engine.now() - sent > 2 * second) return;
      if (stuck > 0)
        return engine.after(stuck, [this, work, reply] {
          if (!database.down) reply(work(database));
        });
      if (database.down) return reply(fail(ErrorKind::unavailable, "the database is down"));
      reply(work(database));
    };
  }
  /// Users: a request at a time, for as long as this is set.
  bool traffic = true;
  std::int64_t requests = 0, failed_requests = 0;

 private:
  void one_request();
  void tell_nodes(std::function<void(NodeProcess&)> what);
  std::int64_t next_value_ = 1;
};

template <class T>
void NodeProcess::database(std::function<Result<T>(Database&)> work, Micros limit, Reply<T> done, bool late,
                           Micros stuck) {
  site_.ask_database<T>(self(), std::move(work), limit, std::move(done), late, stuck);
}

}  // namespace afloat::sim
