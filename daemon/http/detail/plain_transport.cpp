#include <sys/socket.h>

#include <boost/asio/write.hpp>
#include <cerrno>

#include "daemon/http/detail/io_thread.hpp"
#include "daemon/http/detail/transport.hpp"

namespace tally::http::detail {
namespace {

using boost::system::error_code;

class PlainSession final : public Session {
 public:
  PlainSession(IoThread& thread, const Listener& listener, Peer peer, Slot slot, Socket socket)
      : Session(thread, listener, std::move(peer), std::move(slot)), socket_(std::move(socket)) {}

  void drop_transport() noexcept override { close(); }

 private:
  void begin_read(char* to, std::size_t size) override {
    socket_.async_read_some(boost::asio::buffer(to, size),
                            [this](const error_code& ec, std::size_t count) { on_read(ec, count); });
  }

  std::size_t try_write(const Buffers& what, error_code& ec) override {
    // One system call, and no trip through the event loop: answers almost always fit the socket's buffer.
    ssize_t sent;
    if (what[1].size() == 0) {
      sent = ::send(socket_.native_handle(), what[0].data(), what[0].size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      iovec parts[2] = {{const_cast<void*>(what[0].data()), what[0].size()},
                        {const_cast<void*>(what[1].data()), what[1].size()}};
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = 2;
      sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ec.assign(errno, boost::system::system_category());
    return 0;
  }

  void begin_write(const Buffers& what) override {
    boost::asio::async_write(socket_, what, [this](const error_code& ec, std::size_t) { on_write(ec); });
  }

  void shut_down_writing() override {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }

  void close() noexcept override {
    error_code ignored;
    socket_.close(ignored);
  }

  Socket socket_;
};

}  // namespace

std::unique_ptr<Session> plain_session(IoThread& thread, const Listener& listener, Peer peer, Slot slot,
                                       Socket socket) {
  return std::make_unique<PlainSession>(thread, listener, std::move(peer), std::move(slot), std::move(socket));
}

}  // namespace tally::http::detail
