// How one request goes through a session: its head, the route, the gate, its body, its handler.
#include <boost/asio/co_spawn.hpp>
#include <boost/beast/core/string.hpp>

#include "daemon/http/detail/io_thread.hpp"
#include "daemon/http/detail/session.hpp"

namespace tally::http::detail {
namespace {

using metrics::HttpLimit;

constexpr std::size_t kFirstBody = 64 * 1024;
constexpr std::uint64_t kUnknownLength = UINT64_MAX;
/// Room that a chunked body's buffer has beyond the decoded limit, so that framing can be read with it.
constexpr std::size_t kChunkRoom = 16 * 1024;

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool same_word(std::string_view a, std::string_view b) noexcept {
  return boost::beast::iequals(a, b);
}

/// JSON is UTF-8; a client that says its text is something else would be misread.
bool is_utf8_or_silent(std::string_view parameters) noexcept {
  while (!parameters.empty()) {
    const std::size_t end = parameters.find(';');
    const std::string_view parameter = trim(parameters.substr(0, end));
    parameters = end == parameters.npos ? std::string_view{} : parameters.substr(end + 1);
    const std::size_t equals = parameter.find('=');
    if (equals == parameter.npos || !same_word(parameter.substr(0, equals), "charset")) continue;
    std::string_view charset = parameter.substr(equals + 1);
    if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"')
      charset = charset.substr(1, charset.size() - 2);
    return same_word(charset, "utf-8") || same_word(charset, "us-ascii");
  }
  return true;
}

HttpLimit limit_of(Status status, std::string_view detail) noexcept {
  if (status == Status::uri_too_long) return HttpLimit::request_line;
  return detail == "too many header fields" ? HttpLimit::header_fields : HttpLimit::header_section;
}

}  // namespace

bool Session::take_head() {
  // RFC 9112 section 2.2: empty lines before a request are ignored.
  while (input().starts_with("\r\n")) {
    begin_ += 2;
    searched_ = 0;
  }
  const std::string_view text = input();
  if (text.empty() || text == "\r") {
    if (!flush()) return false;
    if (input_ended_ || (served_ && thread_.shared().draining.load(std::memory_order_relaxed))) {
      begin_farewell();
    } else if (!reading_) {
      read_head();
    }
    return false;
  }
  if (const std::size_t size = find_head_end(text, searched_)) {
    begin_request(size);
    return true;
  }
  searched_ = text.size();
  if (const HeadFault fault = check_partial(text, thread_.shared().limits)) {
    refuse_framing(fault.status, fault.detail);
    return true;
  }
  if (!flush()) return false;
  if (input_ended_) {
    begin_farewell();
    return false;
  }
  if (!in_head_) {
    in_head_ = true;
    deadline_ = thread_.now() + thread_.shared().deadlines.header;
  }
  if (!reading_) read_head();
  return false;
}

void Session::begin_request(std::size_t head_size) {
  in_head_ = false;
  searched_ = 0;
  head_.clear();
  metric_route_ = metrics::HttpMetrics::kNoRoute;
  request_.received_at = thread_.now();
  if (const HeadFault fault = parse_head(input().substr(0, head_size), thread_.shared().limits, head_)) {
    return refuse_framing(fault.status, fault.detail);
  }
  served_ = true;
  next_ = begin_ + head_size;
  unread_body_ = head_.chunked ? kUnknownLength : head_.content_length.value_or(0);
  request_.method = head_.method;
  request_.path = head_.path;
  request_.query = head_.query;
  request_.fields = {head_.fields.data(), head_.field_count};
  request_.content_type = head_.content_type;
  request_.authorization = head_.authorization;
  request_.body = {};
  request_.accepted_type = 0;
  request_.id = head_.request_id;
  if (request_.id.empty()) {
    thread_.make_request_id(made_id_);
    request_.id = {made_id_, sizeof made_id_};
  }
  route();
}

void Session::route() {
  const Match match = listener_.service.match(head_.method, head_.path, request_.captures);
  if (match.route == Match::kNone) {
    if (match.allow.empty()) return refuse(Status::not_found, "there is nothing at this path");
    Response answer = problem(Status::method_not_allowed, "this path does not offer that method");
    answer.add_header("Allow", match.allow);
    return refuse(std::move(answer));
  }
  route_ = match.route;
  metric_route_ = listener_.metric_routes[route_];
  try {
    Admission admission = listener_.service.admit(route_, request_);
    if (admission.admitted()) return admitted();
    if (admission.must_ask()) return ask_gate();
    refuse(std::move(admission.answer()));
  } catch (...) {
    log_failure(std::current_exception());
    refuse(Status::internal_server_error, "this is a fault of the server; its log tells more");
  }
}

void Session::ask_gate() {
  phase_ = Phase::admission;
  pending_ = true;
  deadline_ = tracker::SteadyTime::max();
  boost::asio::co_spawn(executor(), listener_.service.admit_slowly(route_, request_),
                        [this](std::exception_ptr failure, std::optional<Response> refusal) {
                          pending_ = false;
                          if (phase_ != Phase::ended) {
                            if (failure) {
                              log_failure(std::move(failure));
                              refuse(Status::internal_server_error,
                                     "this is a fault of the server; its log tells more");
                            } else if (refusal) {
                              refuse(std::move(*refusal));
                            } else {
                              // `run` goes on from here: a handler that answers at once must find it running.
                              phase_ = Phase::admitted;
                            }
                            run();
                          }
                          reap();
                        });
}

void Session::admitted() {
  if (head_.unknown_expectation)
    return refuse(Status::expectation_failed, "the only expectation met here is 100-continue");
  if (!head_.has_body()) return body_complete({});
  if (!choose_type()) return refuse(Status::unsupported_media_type, "this route does not take that Content-Type");
  const std::string_view encoding = head_.content_encoding;
  if (!encoding.empty() && !same_word(encoding, "gzip") && !same_word(encoding, "x-gzip") &&
      !same_word(encoding, "identity")) {
    Response answer = problem(Status::unsupported_media_type, "the only Content-Encoding taken here is gzip");
    answer.add_header("Accept-Encoding", "gzip");
    return refuse(std::move(answer));
  }
  if (head_.content_length.value_or(0) > thread_.shared().limits.body) {
    return refuse_for(HttpLimit::body, Status::payload_too_large, "the body is too large");
  }
  begin_body();
}

bool Session::choose_type() {
  const auto accepts = listener_.service.routes()[route_].accepts;
  if (accepts.empty() || head_.content_type.empty()) return true;
  const std::size_t end = std::min(head_.content_type.find(';'), head_.content_type.size());
  const std::string_view type = trim(head_.content_type.substr(0, end));
  for (std::size_t i = 0; i < accepts.size(); ++i) {
    if (!same_word(type, accepts[i])) continue;
    request_.accepted_type = i;
    return is_utf8_or_silent(head_.content_type.substr(std::min(end + 1, head_.content_type.size())));
  }
  return false;
}

void Session::begin_body() {
  if (head_.chunked) return begin_chunks();
  begin_known_length(static_cast<std::size_t>(*head_.content_length));
}

void Session::begin_known_length(std::size_t length) {
  if (end_ - next_ >= length) {
    const std::string_view body(input_.data() + next_, length);
    next_ += length;
    unread_body_ = 0;
    return body_complete(body);
  }
  auto buffer = thread_.take_buffer(std::max(std::min(length, kFirstBody), end_ - next_));
  if (!buffer) return refuse_for(HttpLimit::bodies, Status::service_unavailable, "too many large requests at once");
  body_ = std::move(*buffer);
  holds_body_ = true;
  body_have_ = end_ - next_;
  std::memcpy(body_.data(), input_.data() + next_, body_have_);
  next_ = end_;
  body_began_ = request_.received_at;
  deadline_ = body_began_ + thread_.shared().deadlines.body;
  phase_ = Phase::body;
  send_continue();
}

void Session::begin_chunks() {
  auto buffer = thread_.take_buffer(std::max(kFirstBody, end_ - next_));
  if (!buffer) return refuse_for(HttpLimit::bodies, Status::service_unavailable, "too many large requests at once");
  body_ = std::move(*buffer);
  holds_body_ = true;
  chunks_ = ChunkDecoder(thread_.shared().limits.body);
  chunks_done_ = false;
  surplus_ = 0;
  body_began_ = request_.received_at;
  deadline_ = body_began_ + thread_.shared().deadlines.body;
  phase_ = Phase::body;
  const std::size_t here = end_ - next_;
  std::memcpy(body_.data(), input_.data() + next_, here);
  next_ = end_;
  if (here > 0) feed_chunks(here);
  send_continue();
}

/// `size` raw bytes have come in behind what is decoded.
void Session::feed_chunks(std::size_t size) {
  std::size_t taken = 0;
  const std::size_t raw_at = chunks_.decoded();
  switch (chunks_.feed(body_.data(), size, taken)) {
    case ChunkDecoder::State::more:
      return;
    case ChunkDecoder::State::done:
      chunks_done_ = true;
      surplus_at_ = raw_at + taken;
      surplus_ = size - taken;
      return;
    case ChunkDecoder::State::malformed:
      return refuse(Status::bad_request, "malformed chunked body");
    case ChunkDecoder::State::too_large:
      return refuse_for(HttpLimit::body, Status::payload_too_large, "the body is too large");
  }
}

void Session::send_continue() {
  if (phase_ != Phase::body || !head_.expects_continue || head_.http_1_0) return;
  if (head_.chunked ? chunks_done_ || chunks_.decoded() > 0 : body_have_ > 0) return;
  out_.text += "HTTP/1.1 100 Continue\r\n\r\n";
}

bool Session::take_body() {
  const bool complete = head_.chunked ? chunks_done_ : body_have_ == *head_.content_length;
  if (complete) {
    unread_body_ = 0;
    body_complete({body_.data(), head_.chunked ? chunks_.decoded() : body_have_});
    return true;
  }
  if (!flush()) return false;
  if (input_ended_) {
    refuse(Status::bad_request, "the body ended early");
    return true;
  }
  if (!reading_) read_body();
  return !reading_;
}

void Session::read_body() {
  const std::size_t have = head_.chunked ? chunks_.decoded() : body_have_;
  const std::size_t most =
      head_.chunked ? thread_.shared().limits.body + kChunkRoom : static_cast<std::size_t>(*head_.content_length);
  if (body_.capacity() - have < (head_.chunked ? kChunkRoom / 4 : 1) && body_.capacity() < most &&
      !thread_.grow(body_, std::min(most, body_.capacity() * 2), have)) {
    return refuse_for(HttpLimit::bodies, Status::service_unavailable, "too many large requests at once");
  }
  // What follows a chunked body may come in with it: only so much of that is taken along.
  const std::size_t room = std::min(body_.capacity(), most) - have;
  read(body_.data() + have, head_.chunked ? std::min(room, kFirstBody) : room);
}

void Session::body_complete(std::string_view body) {
  const bool zipped = !head_.content_encoding.empty() && !same_word(head_.content_encoding, "identity");
  if (!body.empty() && zipped) {
    auto buffer = thread_.take_buffer(std::min(thread_.shared().limits.body + 1, body.size() * 4));
    if (!buffer) return refuse_for(HttpLimit::bodies, Status::service_unavailable, "too many large requests at once");
    inflated_ = std::move(*buffer);
    holds_inflated_ = true;
    std::size_t size = 0;
    const std::size_t reserved = inflated_.capacity();
    const auto outcome = thread_.inflate().run(body, thread_.shared().limits.body, inflated_, size);
    thread_.has_grown(inflated_.capacity() - reserved);
    switch (outcome) {
      case Inflate::Outcome::ok:
        break;
      case Inflate::Outcome::broken:
        return refuse(Status::bad_request, "the body is not a complete gzip stream");
      case Inflate::Outcome::too_large:
        return refuse_for(HttpLimit::body, Status::payload_too_large, "the decoded body is too large");
    }
    body = {inflated_.data(), size};
  }
  request_.body = body;
  handle();
}

void Session::handle() {
  phase_ = Phase::handling;
  pending_ = true;
  failure_logged_ = false;
  deadline_ = tracker::SteadyTime::max();
  try {
    listener_.service.handle(route_, request_, Responder(*this));
  } catch (...) {
    // Its responder died with it, which answers.
    log_failure(std::current_exception());
    failure_logged_ = true;
  }
}

/// An answer that needs no handler. What is left of the body is skipped if it is here already, else the connection
/// ends.
void Session::refuse(Response answer) {
  if (unread_body_ > end_ - next_) {
    close_after_ = unread_ = true;
  } else {
    next_ += std::exchange(unread_body_, 0);
  }
  respond(std::move(answer));
}

/// An answer to something whose end cannot be found.
void Session::refuse_framing(Status status, std::string_view detail) {
  if (status == Status::uri_too_long || status == Status::request_header_fields_too_large) {
    limit_reached(limit_of(status, detail));
  }
  close_after_ = unread_ = true;
  next_ = end_;
  respond_without_request(problem(status, detail));
}

void Session::respond_without_request(Response answer) {
  head_.clear();
  metric_route_ = metrics::HttpMetrics::kNoRoute;
  request_.received_at = thread_.now();
  thread_.make_request_id(made_id_);
  request_.id = {made_id_, sizeof made_id_};
  respond(std::move(answer));
}

void Session::refuse_for(HttpLimit limit, Status status, std::string_view detail) {
  limit_reached(limit);
  if (status == Status::service_unavailable) return refuse(retry_later(status, detail, std::chrono::seconds(1)));
  refuse(status, detail);
}

/// The body's buffers go back to the thread; what was read beyond a chunked body is the next request's.
void Session::give_up_body() {
  if (holds_body_) {
    if (surplus_ > 0) {
      input_.grow(surplus_, 0);
      std::memcpy(input_.data(), body_.data() + surplus_at_, surplus_);
      next_ = 0;
      end_ = std::exchange(surplus_, 0);
    }
    thread_.give_back(std::move(body_));
    holds_body_ = false;
  }
  if (holds_inflated_) {
    thread_.give_back(std::move(inflated_));
    holds_inflated_ = false;
  }
}

}  // namespace tally::http::detail
