#pragma once
#include <chrono>
#include <string>

/// How `afloat up` and `afloat demo` speak, and how they hear Ctrl-C.
namespace afloat::cli {

/// Numbered stages on stdout: title, expected time, lines, and the time it took. Colours only on a terminal.
class Stages {
 public:
  Stages();
  void begin(const std::string& title, const std::string& expected);
  void line(const std::string& text);
  /// A line that matters: an address, a verdict.
  void good(const std::string& text);
  void bad(const std::string& text);
  void end();
  /// A line that is written over by the next one; nothing where stdout is no terminal.
  void passing(const std::string& text);
  bool colour() const { return colour_; }
  std::string bold(const std::string& text) const { return paint("1", text); }
  std::string dim(const std::string& text) const { return paint("2", text); }

 private:
  std::string paint(const char* code, const std::string& text) const;
  void clear_passing();
  bool colour_;
  bool passing_ = false;
  int number_ = 0;
  std::chrono::steady_clock::time_point started_{};
};

/// From now on SIGINT and SIGTERM only set interrupted(), so that everything is stopped in order.
void catch_interrupts();
bool interrupted();
/// Sleeps; false when interrupted meanwhile.
bool pause_for(std::chrono::milliseconds time);

}  // namespace afloat::cli
