#pragma once
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <vector>

#include "daemon/http/endpoint.hpp"
#include "daemon/http/service.hpp"

namespace tally::http::detail {

class IoThread;

/// One address that is served, for all threads.
struct Listener {
  Service& service;
  std::vector<std::uint32_t> metric_routes;  ///< by the service's route number
  Endpoint endpoint;
  bool tls = false;
};

/// Takes new connections from one listening socket on one thread. Goes on whatever `accept` says.
class Acceptor {
 public:
  /// Owns `descriptor`, which does not block.
  Acceptor(IoThread& thread, const Listener& listener, int descriptor);

  void start();
  /// Takes what the kernel has already accepted, then closes.
  void stop();

 private:
  using Executor = boost::asio::io_context::executor_type;
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  enum class Taken { one, none, no_resources };

  void wait();
  void take_some();
  Taken take_one();
  void welcome(int descriptor, const struct sockaddr_storage& from);
  void back_off();

  IoThread& thread_;
  const Listener& listener_;
  boost::asio::posix::basic_stream_descriptor<Executor> socket_;
  Timer pause_;
  bool short_of_resources_ = false;
};

}  // namespace tally::http::detail
