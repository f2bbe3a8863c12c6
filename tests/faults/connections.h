#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

/// Connections of clients that stay for long, over plain sockets, so that each end of one is seen as it is.
namespace afloat::test {

/// Idle keep-alive connections, each with a request every 20 s, and event streams that come back when they are told
/// to. A thread of its own does the work. Thread-safe.
class PatientClients {
 public:
  struct Seen {
    int connected = 0;       ///< keep-alive connections that had their first answer
    int answers = 0;         ///< answers 200 on these
    int cut = 0;             ///< ended without a word, of either kind
    int wrong = 0;           ///< another status than 200
    int streams = 0;         ///< event streams that have had something
    int told_to_return = 0;  ///< ended whole, with a time to come back after
    int finished = 0;        ///< streams that have had the run's end
    std::string first;       ///< what was wrong first
  };
  PatientClients(int port, int idle, int streams, std::string authorization, std::string events_path);
  ~PatientClients();
  PatientClients(const PatientClients&) = delete;
  PatientClients& operator=(const PatientClients&) = delete;
  Seen seen() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One request whose body is sent in `pieces` over `time`, or whose answer is read so; blocks. The whole answer, or
/// what there was of it when the connection ended.
std::string slow_upload(int port, const std::string& head, const std::string& body, std::chrono::milliseconds time);
std::string slow_download(int port, const std::string& head, std::size_t expected, std::chrono::milliseconds time);

}  // namespace afloat::test
