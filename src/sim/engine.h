#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ports/time.h"

/// Simulated time, chance and network. One thread; nothing here reads a clock or the system's randomness,
/// so one seed gives one history.
namespace afloat::sim {

using Micros = std::int64_t;
inline constexpr Micros ms = 1'000, second = 1'000'000;

/// splitmix64: the same on every machine, unlike the distributions of the standard library.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  /// low..high, both included.
  std::int64_t in(std::int64_t low, std::int64_t high);
  bool one_in(std::int64_t n) { return in(1, n) == 1; }

 private:
  std::uint64_t state_;
};

/// Who talks to whom.
using Endpoint = int;
inline constexpr Endpoint at_database = 0, at_balancer = 1, at_operator = 2;
inline Endpoint at_host(int number) { return 100 + number; }
inline Endpoint at_node(int number) { return 200 + number; }
inline Endpoint at_conductor(int number) { return 300 + number; }

/// How a cut link treats what is sent.
enum class Cut {
  refuse,  ///< the sender hears at once that it was not carried out
  drop,    ///< nothing arrives; the sender waits for its deadline
  stall,   ///< what was sent arrives when the link heals, however late: a batch half sent
};

/// A broken invariant: thrown where it is found, caught by the run of the seed.
struct Violation {
  std::string invariant, text;
};

class Engine;

/// A simulated process. What is delivered to it while it is stopped (SIGSTOP) waits; after kill() not one
/// line of its code runs.
class Actor : public std::enable_shared_from_this<Actor> {
 public:
  Actor(Engine& engine, std::string name, Endpoint endpoint);
  virtual ~Actor();
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  void deliver(std::function<void()> work);
  void pause();
  void go_on();
  void kill();
  bool alive() const { return alive_; }
  bool paused() const { return paused_; }
  bool runs() const { return alive_ && !paused_; }
  const std::string& name() const { return name_; }
  Endpoint endpoint() const { return endpoint_; }

 protected:
  virtual void after_delivery() {}
  virtual void on_killed() {}
  Engine& engine_;

 private:
  std::string name_;
  Endpoint endpoint_;
  bool alive_ = true, paused_ = false;
  std::vector<std::function<void()>> held_;
  friend class Engine;
};

template <class T>
using Reply = std::function<void(Result<T>)>;
/// Runs at the callee when the request arrives; replies now or later.
template <class T>
using Serve = std::function<void(Reply<T>)>;

/// The queue of events, the network, the trace.
class Engine {
 public:
  explicit Engine(std::uint64_t seed) : chance(seed) {}

  Micros now() const { return now_; }
  SteadyTime steady() const { return SteadyTime(std::chrono::microseconds(now_ + second)); }
  static Micros micros(SteadyTime time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count() - second;
  }
  /// By the database's clock, milliseconds since 1970.
  std::int64_t unix_ms() const { return 1'800'000'000'000 + now_ / ms; }

  /// Events of one time run in the order in which they were asked for.
  void at(Micros when, std::function<void()> work);
  void after(Micros delay, std::function<void()> work) { at(now_ + delay, std::move(work)); }
  /// Like after(), for an actor: dropped when it is dead by then, held while it is stopped.
  void after(Micros delay, const std::shared_ptr<Actor>& actor, std::function<void()> work);
  /// False when nothing is left.
  bool step();
  /// The end: what still waits with stopped processes is dropped. It may hold those very processes.
  void drop_held();
  std::uint64_t events() const { return events_; }

  void cut(Endpoint a, Endpoint b, Cut how);
  void heal(Endpoint a, Endpoint b);
  void heal_all();
  bool is_cut(Endpoint a, Endpoint b) const { return !cuts_.empty() && cuts_.contains(link(a, b)); }
  /// Every message takes so much longer.
  void slow_down(Endpoint callee, Micros by) { slow_[callee] = by; }

  /// `refused` runs at the sender when the link refuses.
  void send(Endpoint from, Endpoint to, std::function<void()> arrive, std::function<void()> refused);
  /// One request and its answer. `done` runs at `from` exactly once, unless it is killed.
  template <class T>
  void rpc(std::shared_ptr<Actor> from, Endpoint to, Serve<T> serve, Micros deadline, Reply<T> done);

  /// Part of the trace: hashed, the last ones kept.
  void note(std::string_view text);
  [[noreturn]] void violated(std::string invariant, std::string text);
  std::uint64_t trace_hash() const { return hash_; }
  std::vector<std::string> last_notes() const;
  std::function<void(const std::string&)> on_note;

  Chance chance;

 private:
  friend class Actor;
  std::set<Actor*> actors_;
  using Link = std::pair<Endpoint, Endpoint>;
  static Link link(Endpoint a, Endpoint b) { return a < b ? Link(a, b) : Link(b, a); }
  Micros latency(Endpoint callee);

  struct Event {
    Micros when;
    std::uint64_t order;
    std::function<void()> work;
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };
  std::vector<Event> queue_;  ///< a heap: the next event in front
  Micros now_ = 0;
  std::uint64_t order_ = 0, events_ = 0;
  std::map<Link, Cut> cuts_;
  std::map<Link, std::vector<std::function<void()>>> stalled_;
  std::map<Endpoint, Micros> slow_;
  std::uint64_t hash_ = 14695981039346656037ULL;
  std::vector<std::string> notes_;  ///< a ring
  std::size_t noted_ = 0;
};

template <class T>
void Engine::rpc(std::shared_ptr<Actor> from, Endpoint to, Serve<T> serve, Micros deadline, Reply<T> done) {
  struct Call {
    std::shared_ptr<Actor> from;
    Reply<T> done;
    void settle(Result<T> result) {
      if (!done) return;
      // The result may wait with a stopped process; whichever comes first counts.
      from->deliver([done = std::exchange(done, nullptr), result = std::move(result)]() mutable {
        done(std::move(result));
      });
    }
  };
  auto call = std::make_shared<Call>(Call{std::move(from), std::move(done)});
  const auto caller = call->from->endpoint();
  at(deadline, [call] { call->settle(fail(ErrorKind::deadline_exceeded, "no answer in time")); });
  send(
      caller, to,
      [this, call, caller, to, serve = std::move(serve)] {
        serve([this, call, caller, to](Result<T> result) {
          send(to, caller, [call, result = std::move(result)] { call->settle(result); }, [] {});
        });
      },
      [call] { call->settle(fail(ErrorKind::unavailable, "the connection was refused")); });
}

}  // namespace afloat::sim
