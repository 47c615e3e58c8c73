#pragma once
#include <boost/asio/buffer.hpp>
#include <boost/intrusive/list_hook.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "daemon/http/detail/acceptor.hpp"
#include "daemon/http/detail/buffer.hpp"
#include "daemon/http/detail/chunks.hpp"
#include "daemon/http/detail/head.hpp"
#include "daemon/http/detail/slots.hpp"
#include "daemon/http/responder.hpp"
#include "metrics/http_metrics.hpp"

namespace tally::http::detail {

class IoThread;

/// One connection: reads requests, has them answered one after the other, and closes so that the last answer arrives.
/// A state machine over a transport (transport.hpp); belongs to one thread, which deletes it when nothing refers to it.
class Session : public Exchange, public boost::intrusive::list_base_hook<> {
 public:
  Session(IoThread& thread, const Listener& listener, Peer peer, Slot slot);
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start();
  /// Answers nothing but this, and ends.
  void start_refusing(Response answer);
  void check_deadlines(tracker::SteadyTime now);
  /// Ends the connection if it is between requests.
  void end_if_idle();
  void cut();
  /// Deletes the connection if it has ended and nothing refers to it any more.
  void reap() noexcept;
  /// Gives up the socket for good, as the event loop is about to go.
  virtual void drop_transport() noexcept = 0;

  // Exchange:
  Executor executor() noexcept override;
  void finish(Response&& response) override;
  void fail(std::exception_ptr what) noexcept override;
  void abandon() noexcept override;

 protected:
  using Buffers = std::array<boost::asio::const_buffer, 2>;

  // What a transport does. Each begun operation ends in the `on_` function of its name, called from the event loop.
  virtual void begin_handshake() { on_handshake({}); }
  virtual void begin_read(char* to, std::size_t size) = 0;
  /// Sends what can be sent without waiting.
  virtual std::size_t try_write(const Buffers& what, boost::system::error_code& ec) = 0;
  virtual void begin_write(const Buffers& what) = 0;
  /// Says that nothing more will be sent, as far as that can be said without waiting.
  virtual void shut_down_writing() = 0;
  /// A proper farewell before closing, ending in `on_goodbye`; false: this transport has none.
  virtual bool begin_goodbye() { return false; }
  virtual void close() noexcept = 0;

  void on_handshake(const boost::system::error_code& ec);
  void on_read(const boost::system::error_code& ec, std::size_t size);
  void on_write(const boost::system::error_code& ec);
  void on_goodbye();

  IoThread& thread_;
  int operations_ = 0;  ///< begun and not ended

 private:
  enum class Phase : std::uint8_t {
    handshake,
    head,
    admission,
    admitted,
    body,
    handling,
    streaming,
    answered,
    lingering,
    parting,
    ended
  };

  void run();
  bool advance();
  bool take_head();
  void begin_request(std::size_t head_size);
  void route();
  void ask_gate();
  void admitted();
  bool choose_type();
  void begin_body();
  void begin_known_length(std::size_t length);
  void begin_chunks();
  bool take_body();
  void feed_chunks(std::size_t size);
  void send_continue();
  void body_complete(std::string_view body);
  void handle();
  void stream();
  void take_piece(std::exception_ptr failure, const tracker::Result<std::string>& piece);
  bool end_exchange();
  void begin_farewell();

  void read_head();
  void read_body();
  void read(char* to, std::size_t size);
  bool flush();
  void refuse(Response answer);
  void refuse(Status status, std::string_view detail) { refuse(problem(status, detail)); }
  void respond_without_request(Response answer);
  void refuse_framing(Status status, std::string_view detail);
  void refuse_for(metrics::HttpLimit limit, Status status, std::string_view detail);
  void respond(Response&& response);
  void give_up_body();
  void limit_reached(metrics::HttpLimit limit) noexcept;
  void deadline_passed();
  void log_failure(std::exception_ptr what) noexcept;

  std::string_view input() const noexcept { return {input_.data() + begin_, end_ - begin_}; }

  const Listener& listener_;
  Phase phase_ = Phase::handshake;
  bool running_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool pending_ = false;      ///< a handler or the gate has the request
  bool input_ended_ = false;  ///< the client has closed its sending side
  bool in_head_ = false;      ///< some of a head is there, and its deadline runs
  bool close_after_ = false;  ///< this exchange is the last
  bool unread_ = false;       ///< the client may still be sending what nobody will read
  bool served_ = false;       ///< at least one request has come in
  bool failure_logged_ = false;
  int burst_ = 0;  ///< requests answered without going back to the event loop

  // Input: one request's head at a time, and what came in behind it.
  Buffer input_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t searched_ = 0;       ///< bytes from begin_ on that hold no end of a head
  std::size_t next_ = 0;           ///< where the next request begins
  std::uint64_t unread_body_ = 0;  ///< of this request, from next_ on
  Head head_;
  Request request_;
  std::size_t route_ = 0;
  std::uint32_t metric_route_ = 0;
  char made_id_[16];

  // Body, when it did not come with the head.
  Buffer body_;
  std::size_t body_have_ = 0;
  ChunkDecoder chunks_;
  bool chunks_done_ = false;
  std::size_t surplus_at_ = 0;  ///< in body_: bytes of the next request that were read with the last chunk
  std::size_t surplus_ = 0;
  Buffer inflated_;
  bool holds_body_ = false;
  bool holds_inflated_ = false;

  struct Output {
    std::string text;
    std::string body;             ///< follows `text`: a body too large to be copied into it
    std::string_view fixed_body;  ///< the same, when it is constant text
    std::string_view tail() const noexcept { return fixed_body.empty() ? std::string_view(body) : fixed_body; }
    std::size_t size() const noexcept { return text.size() + tail().size(); }
    void clear() noexcept;
  };
  Output out_;      ///< being gathered
  Output sending_;  ///< on its way, while writing_

  std::shared_ptr<BodySource> source_;  ///< of the body that is being streamed

  tracker::SteadyTime deadline_ = tracker::SteadyTime::max();
  tracker::SteadyTime write_deadline_ = tracker::SteadyTime::max();
  tracker::SteadyTime body_began_{};
  std::size_t lingered_ = 0;
  Peer peer_;
  Slot slot_;
};

}  // namespace tally::http::detail
