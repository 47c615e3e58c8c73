#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "daemon/http/detail/io_thread.hpp"
#include "daemon/http/detail/transport.hpp"

namespace tally::http::detail {
namespace {

using boost::system::error_code;

class TlsSession final : public Session {
 public:
  TlsSession(IoThread& thread, const Listener& listener, Peer peer, Slot slot, Socket socket, const TlsContext& context)
      : Session(thread, listener, std::move(peer), std::move(slot)),
        context_(context),
        stream_(std::move(socket), *context) {}

  void drop_transport() noexcept override { close(); }

 private:
  void begin_handshake() override {
    ++operations_;
    stream_.async_handshake(boost::asio::ssl::stream_base::server, [this](const error_code& ec) {
      --operations_;
      on_handshake(ec);
    });
  }

  void begin_read(char* to, std::size_t size) override {
    stream_.async_read_some(boost::asio::buffer(to, size),
                            [this](const error_code& ec, std::size_t count) { on_read(ec, count); });
  }

  std::size_t try_write(const Buffers&, error_code&) override { return 0; }

  void begin_write(const Buffers& what) override {
    boost::asio::async_write(stream_, what, [this](const error_code& ec, std::size_t) { on_write(ec); });
  }

  // TLS cannot close one direction: the client learns from `Connection: close` that nothing more comes.
  void shut_down_writing() override {}

  bool begin_goodbye() override {
    ++operations_;
    stream_.async_shutdown([this](const error_code&) {
      --operations_;
      on_goodbye();
    });
    return true;
  }

  void close() noexcept override {
    error_code ignored;
    stream_.next_layer().close(ignored);
  }

  TlsContext context_;  ///< outlives the stream, also when a newer one is in use
  boost::asio::ssl::stream<Socket> stream_;
};

}  // namespace

std::unique_ptr<Session> tls_session(IoThread& thread, const Listener& listener, Peer peer, Slot slot, Socket socket,
                                     const TlsContext& context) {
  return std::make_unique<TlsSession>(thread, listener, std::move(peer), std::move(slot), std::move(socket), context);
}

}  // namespace tally::http::detail
