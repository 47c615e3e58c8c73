#include "daemon/http/detail/session.hpp"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/http/detail/io_thread.hpp"
#include "daemon/http/detail/render.hpp"
#include "daemon/log.hpp"

namespace tally::http::detail {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kFirstInput = 4 * 1024;
constexpr std::size_t kKeptInput = 32 * 1024;
/// A body up to this size is copied behind its head, so that both leave in one piece.
constexpr std::size_t kSmallBody = 16 * 1024;
/// Answers are gathered for a client that sends its requests in one go, but only so many.
constexpr std::size_t kMostGathered = 64 * 1024;
constexpr int kMostBurst = 32;
/// An output buffer that once held something large is not kept.
constexpr std::size_t kKeptOutput = 64 * 1024;

metrics::HttpMethod metric_method(Verb verb) noexcept {
  using metrics::HttpMethod;
  switch (verb) {
    case Verb::get:
      return HttpMethod::get;
    case Verb::head:
      return HttpMethod::head;
    case Verb::post:
      return HttpMethod::post;
    case Verb::put:
      return HttpMethod::put;
    case Verb::delete_:
      return HttpMethod::delete_;
    default:
      return HttpMethod::other;
  }
}

}  // namespace

void Session::Output::clear() noexcept {
  if (text.capacity() > kKeptOutput) text = {};
  text.clear();
  body = {};
  fixed_body = {};
}

Session::Session(IoThread& thread, const Listener& listener, Peer peer, Slot slot)
    : thread_(thread), listener_(listener), peer_(std::move(peer)), slot_(std::move(slot)) {
  request_.peer = &peer_;
  request_.thread = thread.index();
}

void Session::start() {
  Shared& shared = thread_.shared();
  shared.metrics.connection_opened(thread_.index());
  deadline_ = thread_.now() + shared.deadlines.header;
  begin_handshake();
}

void Session::start_refusing(Response answer) {
  Shared& shared = thread_.shared();
  shared.metrics.connection_opened(thread_.index());
  close_after_ = unread_ = true;
  respond_without_request(std::move(answer));
  run();
  reap();
}

void Session::on_handshake(const boost::system::error_code& ec) {
  if (phase_ == Phase::handshake) {
    if (ec) {
      cut();
    } else {
      phase_ = Phase::head;
      deadline_ = thread_.now() + thread_.shared().deadlines.idle;
      if (thread_.shared().draining.load()) end_if_idle();
      run();
    }
  }
  reap();
}

void Session::run() {
  if (running_) return;
  running_ = true;
  try {
    while (advance()) {
    }
  } catch (const std::exception& failure) {
    // Out of memory, most likely: this connection goes, the others stay.
    daemon::log::error("connection cut", {{"error", failure.what()}});
    cut();
  }
  running_ = false;
}

/// One step; false when there is nothing to do until something happens.
bool Session::advance() {
  if (writing_) return false;
  switch (phase_) {
    case Phase::head:
      return take_head();
    case Phase::body:
      return take_body();
    case Phase::streaming:
      if (flush() && !pending_) stream();
      return false;
    case Phase::answered:
      return end_exchange();
    case Phase::admitted:
      admitted();
      return true;
    case Phase::admission:
    case Phase::handling:
      flush();
      return false;
    case Phase::lingering:
      if (!reading_) read(thread_.waste().data(), thread_.waste().capacity());
      return false;
    case Phase::handshake:
    case Phase::parting:
    case Phase::ended:
      return false;
  }
  return false;
}

void Session::read_head() {
  // Nothing points into the input now, so what is left of it can move to the front.
  if (begin_ == end_) {
    begin_ = end_ = searched_ = 0;
    if (input_.capacity() > kKeptInput) input_ = Buffer(kFirstInput);
  } else if (end_ == input_.capacity() && begin_ > 0) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == input_.capacity()) input_.grow(std::max(kFirstInput, input_.capacity() * 2), end_);
  read(input_.data() + end_, input_.capacity() - end_);
}

void Session::read(char* to, std::size_t size) {
  reading_ = true;
  ++operations_;
  begin_read(to, size);
}

void Session::on_read(const boost::system::error_code& ec, std::size_t size) {
  --operations_;
  reading_ = false;
  if (ec == boost::asio::error::eof) {
    input_ended_ = true;
  } else if (ec && phase_ != Phase::ended) {
    cut();
  }
  switch (phase_) {
    case Phase::head:
      end_ += size;
      break;
    case Phase::body:
      if (head_.chunked) {
        feed_chunks(size);
      } else {
        body_have_ += size;
      }
      break;
    case Phase::lingering:
      lingered_ += size;
      if (input_ended_ || lingered_ > thread_.shared().limits.linger) begin_farewell();
      break;
    default:
      break;
  }
  run();
  reap();
}

/// Sends what has been gathered. True when all of it is with the kernel; else the rest is on its way, or the end has
/// come.
bool Session::flush() {
  if (writing_) return false;
  if (out_.size() == 0) return true;
  Buffers buffers{boost::asio::buffer(out_.text), boost::asio::buffer(out_.tail().data(), out_.tail().size())};
  boost::system::error_code ec;
  std::size_t sent = try_write(buffers, ec);
  if (ec) {
    cut();
    return false;
  }
  if (sent == out_.size()) {
    out_.clear();
    return true;
  }
  const std::size_t size = out_.size() - sent;
  std::swap(out_, sending_);
  buffers = {boost::asio::buffer(sending_.text), boost::asio::buffer(sending_.tail().data(), sending_.tail().size())};
  for (auto& buffer : buffers) {
    const std::size_t gone = std::min(sent, buffer.size());
    buffer += gone;
    sent -= gone;
  }
  writing_ = true;
  // The client may take longer for more than 1 MiB, in proportion.
  write_deadline_ = thread_.now() + thread_.shared().deadlines.write * (1 + size / (1024 * 1024));
  ++operations_;
  begin_write(buffers);
  return false;
}

void Session::on_write(const boost::system::error_code& ec) {
  --operations_;
  writing_ = false;
  sending_.clear();
  if (ec && phase_ != Phase::ended) cut();
  run();
  reap();
}

void Session::respond(Response&& response) {
  Shared& shared = thread_.shared();
  if (response.close || !head_.keep_alive || shared.draining.load(std::memory_order_relaxed)) close_after_ = true;
  const bool head_only = head_.method == Verb::head;
  if (response.source && head_.http_1_0) close_after_ = true;  // whose bodies end with the connection
  render_head(out_.text, response, {thread_.date(), request_.id, head_.http_1_0, close_after_});
  if (!head_only && !response.source && response.status != Status::no_content) {
    if (body_of(response).size() <= kSmallBody) {
      out_.text += body_of(response);
    } else {
      out_.fixed_body = response.fixed_body;
      out_.body = std::move(response.body);
    }
  }
  const tracker::SteadyTime now = thread_.now();
  shared.metrics.request_finished(thread_.index(), metric_route_, metric_method(head_.method),
                                  static_cast<unsigned>(response.status), now - request_.received_at);
  if (response.source && !head_only) {
    source_ = std::move(response.source);
    deadline_ = tracker::SteadyTime::max();
    phase_ = Phase::streaming;
    return;
  }
  deadline_ = now + shared.deadlines.idle;
  phase_ = Phase::answered;
}

/// Asks for the next piece of a body. Until it is there nothing is read or sent; the piece before it has left.
void Session::stream() {
  pending_ = true;
  boost::asio::co_spawn(executor(), source_->next(),
                        [this](std::exception_ptr failure, tracker::Result<std::string> piece) {
                          pending_ = false;
                          if (phase_ != Phase::ended) {
                            take_piece(std::move(failure), piece);
                            run();
                          }
                          reap();
                        });
}

void Session::take_piece(std::exception_ptr failure, const tracker::Result<std::string>& piece) {
  if (failure || !piece) {
    daemon::log::warn("an answer was cut short",
                      {{"request_id", request_.id}, {"error", failure ? "exception" : piece.error().message()}});
    if (failure) log_failure(std::move(failure));
    source_.reset();
    return cut();
  }
  const bool last = piece->empty();
  if (!head_.http_1_0) {
    out_.text += fmt::format("{:x}\r\n", piece->size());
    out_.text += *piece;
    out_.text += "\r\n";
  } else {
    out_.text += *piece;
  }
  if (!last) return;
  source_.reset();
  deadline_ = thread_.now() + thread_.shared().deadlines.idle;
  phase_ = Phase::answered;
}

/// After an answer: the next request, or the end.
bool Session::end_exchange() {
  if (close_after_) {
    if (flush()) begin_farewell();
    return false;
  }
  if (!out_.tail().empty() && !flush()) return false;
  give_up_body();
  request_.subject.reset();
  begin_ = next_;
  searched_ = 0;
  phase_ = Phase::head;
  if (begin_ == end_) {
    burst_ = 0;
  } else if (++burst_ >= kMostBurst || out_.size() > kMostGathered) {
    burst_ = 0;
    if (flush()) {
      // Other connections are served before this one goes on.
      ++operations_;
      boost::asio::post(executor(), [this] {
        --operations_;
        run();
        reap();
      });
    }
    return false;
  }
  return true;
}

/// The last answer is out. If the client may still be sending, closing now could make the kernel throw that answer
/// away.
void Session::begin_farewell() {
  if (phase_ == Phase::answered && unread_ && !input_ended_) {
    shut_down_writing();
    phase_ = Phase::lingering;
    deadline_ = thread_.now() + thread_.shared().deadlines.linger;
    if (!reading_) read(thread_.waste().data(), thread_.waste().capacity());
    return;
  }
  phase_ = Phase::parting;
  deadline_ = thread_.now() + thread_.shared().deadlines.linger;
  if (reading_ || !begin_goodbye()) cut();
}

void Session::on_goodbye() {
  cut();
  reap();
}

void Session::cut() {
  if (phase_ == Phase::ended) return;
  phase_ = Phase::ended;
  close();
  thread_.shared().metrics.connection_closed(thread_.index());
  slot_.release();
}

void Session::reap() noexcept {
  if (phase_ != Phase::ended || operations_ > 0 || pending_ || running_) return;
  give_up_body();
  thread_.remove(*this);
}

void Session::end_if_idle() {
  if (phase_ == Phase::head && begin_ == end_ && !writing_) {
    if (served_) {
      begin_farewell();
    } else {
      // Its first request may be on its way.
      deadline_ = std::min(deadline_, thread_.now() + thread_.shared().deadlines.linger);
    }
  }
  reap();
}

void Session::limit_reached(metrics::HttpLimit limit) noexcept {
  thread_.shared().metrics.limit_reached(thread_.index(), limit);
}

void Session::check_deadlines(tracker::SteadyTime now) {
  const Deadlines& deadlines = thread_.shared().deadlines;
  if (writing_ && now >= write_deadline_) {
    limit_reached(metrics::HttpLimit::write_deadline);
    cut();
  } else if (now >= deadline_) {
    deadline_passed();
  } else if (phase_ == Phase::body && now - body_began_ >= deadlines.body_grace) {
    const auto elapsed = std::chrono::duration_cast<milliseconds>(now - body_began_).count();
    const auto have = head_.chunked ? chunks_.decoded() : body_have_;
    if (have * 1000 < deadlines.body_bytes_per_second * static_cast<std::size_t>(elapsed)) deadline_passed();
  }
  reap();
}

void Session::deadline_passed() {
  switch (phase_) {
    case Phase::body:
      limit_reached(metrics::HttpLimit::body_deadline);
      close_after_ = unread_ = true;
      refuse(Status::request_timeout, "the body took too long");
      return run();
    case Phase::head:
      if (in_head_) {
        limit_reached(metrics::HttpLimit::header_deadline);
        refuse_framing(Status::request_timeout, "the header section took too long");
        return run();
      }
      limit_reached(metrics::HttpLimit::idle);
      return begin_farewell();
    case Phase::handshake:
      limit_reached(metrics::HttpLimit::header_deadline);
      return cut();
    case Phase::lingering:
      return begin_farewell();
    case Phase::parting:
      return cut();
    case Phase::admission:
    case Phase::admitted:
    case Phase::handling:
    case Phase::streaming:
    case Phase::answered:
    case Phase::ended:
      return;
  }
}

Session::Executor Session::executor() noexcept {
  return thread_.executor();
}

void Session::finish(Response&& response) {
  pending_ = false;
  if (phase_ != Phase::ended) {
    respond(std::move(response));
    run();
  }
  reap();
}

void Session::fail(std::exception_ptr what) noexcept {
  if (!failure_logged_) log_failure(std::move(what));
  finish(problem(Status::internal_server_error, "this is a fault of the server; its log tells more"));
}

void Session::abandon() noexcept {
  // A responder that dies with the event loop has nobody left to answer.
  if (thread_.shared().stopped.load()) return;
  boost::asio::post(executor(), [this] { fail(nullptr); });
}

void Session::log_failure(std::exception_ptr what) noexcept {
  std::string reason = "dropped without an answer";
  try {
    if (what) std::rethrow_exception(what);
  } catch (const std::exception& failure) {
    reason = failure.what();
  } catch (...) {
    reason = "unknown";
  }
  daemon::log::error(
      "request failed",
      {{"route", listener_.service.routes()[route_].pattern}, {"request_id", request_.id}, {"error", reason}});
}

}  // namespace tally::http::detail
