#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/endpoint.hpp"

namespace tally::http::test {

struct Answer {
  int status = 0;                              ///< 0: no complete answer came
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

/// A blocking socket that gives up after five seconds, so that a test fails instead of hanging. Sends any bytes it is
/// told to.
class Client {
 public:
  explicit Client(const Endpoint& endpoint);
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&& other) noexcept;

  /// False once the server no longer takes bytes.
  bool send(std::string_view bytes);
  /// Sends as much as the kernel takes without waiting.
  std::size_t send_some(std::string_view bytes);
  void half_close();
  void close();
  /// Closes with a reset instead of a farewell.
  void reset();

  /// The next answer. `head_only`: of a HEAD request.
  Answer read(bool head_only = false);
  Answer ask(std::string_view bytes) {
    send(bytes);
    return read();
  }
  /// Everything up to the end of the stream, or what came before time ran out.
  std::string read_to_end();
  /// True: the server has ended the stream, cleanly, with nothing more to read.
  bool ended();
  /// True: the server has answered nothing so far.
  bool silent();

 private:
  bool fill();
  int socket_ = -1;
  std::string buffer_;
  bool eof_ = false;
  bool broken_ = false;
};

std::string get(std::string_view target, std::string_view headers = {});
std::string post(std::string_view target, std::string_view body, std::string_view headers = {},
                 std::string_view type = "application/json");

}  // namespace tally::http::test
