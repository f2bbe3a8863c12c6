#include "cli/stage.h"

#include <fmt/core.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace afloat::cli {
namespace {
volatile std::sig_atomic_t interrupt_seen = 0;
void on_interrupt(int) { interrupt_seen = 1; }
}  // namespace

Stages::Stages() : colour_(isatty(STDOUT_FILENO) == 1 && !getenv("NO_COLOR")) {}

std::string Stages::paint(const char* code, const std::string& text) const {
  return colour_ ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
}

void Stages::clear_passing() {
  if (passing_) std::fputs("\r\033[K", stdout);
  passing_ = false;
}

void Stages::begin(const std::string& title, const std::string& expected) {
  clear_passing();
  started_ = std::chrono::steady_clock::now();
  fmt::print("\n{} {}{}\n", paint("1;34", fmt::format("{}.", ++number_)), bold(title),
             expected.empty() ? "" : dim("  (about " + expected + ")"));
  std::fflush(stdout);
}

void Stages::line(const std::string& text) {
  clear_passing();
  fmt::print("   {}\n", text);
  std::fflush(stdout);
}

void Stages::good(const std::string& text) { line(paint("32", text)); }
void Stages::bad(const std::string& text) { line(paint("31", text)); }

void Stages::passing(const std::string& text) {
  if (!isatty(STDOUT_FILENO)) return;
  clear_passing();
  fmt::print("   {}", dim(text));
  passing_ = true;
  std::fflush(stdout);
}

void Stages::end() {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
  line(dim(fmt::format("{:.1f} s", took.count())));
}

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_seen != 0; }

bool pause_for(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!interrupted()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::microseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return true;
    usleep(static_cast<useconds_t>(std::min<long>(left, 50'000)));
  }
  return false;
}

}  // namespace afloat::cli
