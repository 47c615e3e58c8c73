#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "daemon/http/request.hpp"
#include "daemon/http/response.hpp"

namespace tally::http {

/// What the gate's fast path says: go on, refuse with this answer, or ask the slow path.
class Admission {
 public:
  static Admission admit() { return Admission(Kind::admit); }
  static Admission ask() { return Admission(Kind::ask); }
  static Admission refuse(Response answer) {
    Admission admission(Kind::refuse);
    admission.answer_ = std::make_unique<Response>(std::move(answer));
    return admission;
  }

  bool admitted() const noexcept { return kind_ == Kind::admit; }
  bool must_ask() const noexcept { return kind_ == Kind::ask; }
  /// Only of a refusal.
  Response& answer() noexcept { return *answer_; }

 private:
  enum class Kind : unsigned char { admit, ask, refuse };
  explicit Admission(Kind kind) noexcept : kind_(kind) {}
  Kind kind_;
  std::unique_ptr<Response> answer_;  ///< only of a refusal, so that admitting costs nothing
};

/// Decides about a request when its header section is complete and before its body is read. `Permission` is the type of
/// the route table's permission column. Called on the request's http thread; several threads at a time.
template <class Permission>
class Gate {
 public:
  virtual ~Gate() = default;
  /// The fast path: never blocks. Fills `request.subject` when it admits.
  virtual Admission admit(Request& request, const Permission& permission) = 0;
  /// After `Admission::ask`: nothing when admitted, else the refusal.
  virtual boost::asio::awaitable<std::optional<Response>> admit_slowly(Request& request,
                                                                       const Permission& permission) = 0;
};

}  // namespace tally::http
