#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tally::test {

/// Stands between a client and PostgreSQL and does something to the first message that holds `text`.
class CutProxy {
 public:
  enum class Mode {
    before,  ///< cut without forwarding: certainly not executed
    after,   ///< forward, wait for the answer, drop it, cut: executed, and the client cannot know
    race,    ///< forward and cut at once
    hold,    ///< forward, swallow the answer, keep the connection open
    late,    ///< cut the client; forward only after `release`
  };

  /// `socket`: path of the server's Unix socket.
  CutProxy(std::string socket, Mode mode, std::string text);
  ~CutProxy();
  CutProxy(const CutProxy&) = delete;
  CutProxy& operator=(const CutProxy&) = delete;

  std::uint16_t port() const { return port_; }
  void release();
  /// The message was met.
  bool hit() const;

 private:
  void accept_all();
  void serve(int client);
  void copy_back(int server, int client, bool& swallow);
  bool first_hit(const std::string& bytes);

  const std::string socket_;
  const Mode mode_;
  const std::string text_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex guard_;  ///< guards all below
  std::condition_variable released_;
  bool hit_ = false;
  bool free_ = false;
  bool ending_ = false;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace tally::test
