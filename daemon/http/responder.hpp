#pragma once
#include <boost/asio/io_context.hpp>
#include <exception>
#include <utility>

#include "daemon/http/response.hpp"

namespace tally::http {

namespace detail {
/// A connection with a request in its handler.
class Exchange {
 public:
  using Executor = boost::asio::io_context::executor_type;
  virtual Executor executor() noexcept = 0;
  virtual void finish(Response&& response) = 0;             ///< on the connection's thread
  virtual void fail(std::exception_ptr what) noexcept = 0;  ///< on the connection's thread
  virtual void abandon() noexcept = 0;                      ///< on any thread

 protected:
  ~Exchange() = default;
};
}  // namespace detail

/// The duty to answer one request, once. May be kept while the answer is awaited, and may be carried to other threads,
/// but `answer` is called on the request's own http thread. One that is destroyed unanswered, on whatever thread,
/// answers 500.
class Responder {
 public:
  explicit Responder(detail::Exchange& exchange) noexcept : exchange_(&exchange) {}
  Responder(Responder&& other) noexcept : exchange_(std::exchange(other.exchange_, nullptr)) {}
  Responder& operator=(Responder&& other) noexcept {
    std::swap(exchange_, other.exchange_);
    return *this;
  }
  ~Responder() {
    if (exchange_) exchange_->abandon();
  }

  void answer(Response response) { std::exchange(exchange_, nullptr)->finish(std::move(response)); }
  /// Answers 500 and logs what went wrong.
  void fail(std::exception_ptr what) noexcept { std::exchange(exchange_, nullptr)->fail(std::move(what)); }
  /// Of the request's http thread.
  detail::Exchange::Executor executor() const noexcept { return exchange_->executor(); }

 private:
  detail::Exchange* exchange_;
};

}  // namespace tally::http
