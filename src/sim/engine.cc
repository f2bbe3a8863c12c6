#include "sim/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace afloat::sim {

std::uint64_t Chance::next() {
  state_ += 0x9E3779B97F4A7C15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

std::int64_t Chance::in(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
}

Actor::Actor(Engine& engine, std::string name, Endpoint endpoint)
    : engine_(engine), name_(std::move(name)), endpoint_(endpoint) {
  engine_.actors_.insert(this);
}

Actor::~Actor() { engine_.actors_.erase(this); }

void Engine::drop_held() {
  std::vector<std::function<void()>> all;
  for (auto* actor : actors_) {
    all.insert(all.end(), std::move_iterator(actor->held_.begin()), std::move_iterator(actor->held_.end()));
    actor->held_.clear();
  }
  all.clear();  // actors may go with them, and leave the list
}

void Actor::deliver(std::function<void()> work) {
  if (!alive_) return;
  if (paused_) {
    held_.push_back(std::move(work));
    return;
  }
  work();
  if (alive_) after_delivery();
}

void Actor::pause() {
  if (!alive_ || paused_) return;
  engine_.note(name_ + " is stopped (SIGSTOP)");
  paused_ = true;
}

void Actor::go_on() {
  if (!alive_ || !paused_) return;
  engine_.note(name_ + " goes on (SIGCONT)");
  paused_ = false;
  auto held = std::exchange(held_, {});
  for (auto& work : held) deliver(std::move(work));
}

void Actor::kill() {
  if (!alive_) return;
  alive_ = false;
  held_.clear();
  on_killed();
}

void Engine::at(Micros when, std::function<void()> work) {
  queue_.push_back({std::max(when, now_), ++order_, std::move(work)});
  std::ranges::push_heap(queue_, std::greater<>());
}

void Engine::after(Micros delay, const std::shared_ptr<Actor>& actor, std::function<void()> work) {
  at(now_ + delay, [actor, work = std::move(work)]() mutable { actor->deliver(std::move(work)); });
}

bool Engine::step() {
  if (queue_.empty()) return false;
  std::ranges::pop_heap(queue_, std::greater<>());
  auto event = std::move(queue_.back());
  queue_.pop_back();
  now_ = event.when;
  ++events_;
  event.work();
  return true;
}

void Engine::cut(Endpoint a, Endpoint b, Cut how) { cuts_[link(a, b)] = how; }

void Engine::heal(Endpoint a, Endpoint b) {
  cuts_.erase(link(a, b));
  const auto found = stalled_.find(link(a, b));
  if (found == stalled_.end()) return;
  auto messages = std::move(found->second);
  stalled_.erase(found);
  for (auto& message : messages) after(chance.in(100, 3 * ms), std::move(message));
}

void Engine::heal_all() {
  const auto cuts = cuts_;
  for (const auto& [ends, how] : cuts) heal(ends.first, ends.second);
  slow_.clear();
}

Micros Engine::latency(Endpoint callee) {
  Micros time = chance.in(150, 900);
  // Now and then a packet is lost and sent again.
  if (chance.one_in(150)) time += chance.in(20, 250) * ms;
  if (!slow_.empty())
    if (const auto found = slow_.find(callee); found != slow_.end()) time += chance.in(0, found->second);
  return time;
}

void Engine::send(Endpoint from, Endpoint to, std::function<void()> arrive, std::function<void()> refused) {
  if (!cuts_.empty()) {
    if (const auto found = cuts_.find(link(from, to)); found != cuts_.end()) {
      if (found->second == Cut::refuse)
        after(chance.in(100, 2 * ms), std::move(refused));
      else if (found->second == Cut::stall)
        stalled_[found->first].push_back(std::move(arrive));
      return;
    }
  }
  after(latency(std::min(from, to)), std::move(arrive));
}

void Engine::note(std::string_view text) {
  constexpr std::size_t kept = 60;
  auto line = fmt::format("{:>11.6f} {}", static_cast<double>(now_) / second, text);
  for (const char c : line) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  if (on_note) on_note(line);
  if (notes_.size() < kept)
    notes_.push_back(std::move(line));
  else
    notes_[noted_ % kept] = std::move(line);
  ++noted_;
}

std::vector<std::string> Engine::last_notes() const {
  std::vector<std::string> lines;
  const auto first = notes_.size() == noted_ ? 0 : noted_ % notes_.size();
  for (std::size_t i = 0; i < notes_.size(); ++i) lines.push_back(notes_[(first + i) % notes_.size()]);
  return lines;
}

void Engine::violated(std::string invariant, std::string text) {
  note(fmt::format("VIOLATED {}: {}", invariant, text));
  throw Violation{std::move(invariant), std::move(text)};
}

}  // namespace afloat::sim
