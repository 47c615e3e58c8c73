#include "db/connection.hpp"

#include <libpq-fe.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "db/detail/conninfo.hpp"
#include "db/detail/ruled_sql.hpp"
#include "db/sqlstate.hpp"

namespace tally::db {
namespace asio = boost::asio;
using asio::posix::stream_descriptor;
using tracker::Errc;
using tracker::Result;
using tracker::SteadyTime;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr int kBinaryResults = 1;

struct ClearResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ClearResult>;

/// PQcancel opens a connection of its own and blocks, possibly for long: a thread that owns nothing else waits for it.
/// A few at a time; more would not help a server in that state.
void cancel_in_background(PGconn* connection) {
  static std::atomic<int> running{0};
  constexpr int kAtMost = 4;
  PGcancel* cancel = PQgetCancel(connection);
  if (!cancel) return;
  if (running.fetch_add(1) >= kAtMost) {
    running.fetch_sub(1);
    PQfreeCancel(cancel);
    return;
  }
  try {
    std::thread([cancel] {
      char error[256];
      PQcancel(cancel, error, sizeof error);
      PQfreeCancel(cancel);
      running.fetch_sub(1);
    }).detach();
  } catch (const std::system_error&) {
    PQfreeCancel(cancel);
    running.fetch_sub(1);
  }
}

std::string trimmed(const char* text) {
  std::string message = text ? text : "";
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
  return message;
}

}  // namespace

/// Shared with the deadline timer's handler, which may run after the connection has gone.
class Connection::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, Observer& observer, const tracker::Clock& clock)
      : socket_(executor), timer_(executor), observer_(observer), clock_(clock) {}
  ~Impl() { drop(); }

  asio::awaitable<bool> connect(detail::ConnectParameters parameters, SteadyTime deadline);
  asio::awaitable<Result<Rows>> fetch(const Query& query, const Params& params, SteadyTime deadline);
  asio::awaitable<Result<std::vector<Rows>>> transact(std::span<const Statement> statements, SteadyTime deadline);
  asio::awaitable<Result<void>> script(const Query& query, SteadyTime deadline);
  /// Connected, and inside a transaction only where the caller opened one.
  bool alive();
  /// A session that refused a write as read-only (25006) is given up: after a failover the writable one is elsewhere.
  bool usable() { return !refuses_writes_ && alive() && PQtransactionStatus(connection_) == PQTRANS_IDLE; }

  std::string message_;
  std::string sqlstate_;

 private:
  class Running;
  enum class Prepare { done, refused };

  void arm(SteadyTime deadline);
  void disarm();
  void drop();
  void attach() { socket_.assign(PQsocket(connection_)); }
  void detach() {
    if (socket_.is_open()) socket_.release();
  }
  asio::awaitable<bool> wait(bool write_too);
  asio::awaitable<bool> ready();
  asio::awaitable<Result<ResultPtr>> collect();
  asio::awaitable<bool> read_sync();
  bool send(const Query& query, const Params& params);
  bool send_control(const char* sql);
  void remember(const PGresult* result);
  void remember_lost();
  Errc failure();

  PGconn* connection_ = nullptr;
  stream_descriptor socket_;  ///< a view of libpq's socket: released, never closed
  asio::steady_timer timer_;
  Observer& observer_;
  const tracker::Clock& clock_;
  std::uint64_t arming_ = 0;
  bool expired_ = false;
  bool sent_ = false;
  bool refuses_writes_ = false;
};

/// One statement in progress. Unless `finished` is said, its end drops the connection: an exception or a cancelled
/// coroutine must not leave an answer behind for the next caller.
class Connection::Impl::Running {
 public:
  Running(Impl& impl, std::string_view name, SteadyTime deadline)
      : impl_(impl), name_(name), started_(impl.clock_.steady()) {
    impl_.sent_ = false;
    impl_.message_.clear();
    impl_.sqlstate_.clear();
    impl_.arm(deadline);
  }
  ~Running() {
    impl_.disarm();
    if (!clean_) {
      if (impl_.sent_ && impl_.connection_ && impl_.expired_) cancel_in_background(impl_.connection_);
      impl_.drop();
    }
  }
  template <class T>
  Result<T> finished(Result<T> result) {
    std::optional<Errc> error;
    if (result.has_error()) error = static_cast<Errc>(result.error().value());
    clean_ = !error || (!ends_connection(impl_.sqlstate_) && PQpipelineStatus(impl_.connection_) == PQ_PIPELINE_OFF);
    impl_.observer_.statement_ended({name_, impl_.clock_.steady() - started_, error, impl_.sqlstate_, impl_.message_});
    return result;
  }

 private:
  Impl& impl_;
  std::string_view name_;
  SteadyTime started_;
  bool clean_ = false;
};

void Connection::Impl::arm(SteadyTime deadline) {
  expired_ = false;
  timer_.expires_at(deadline);
  timer_.async_wait([self = shared_from_this(), mine = ++arming_](boost::system::error_code cancelled) {
    if (cancelled || mine != self->arming_) return;
    self->expired_ = true;
    if (self->socket_.is_open()) self->socket_.cancel();
  });
}

void Connection::Impl::disarm() {
  ++arming_;
  timer_.cancel();
}

void Connection::Impl::drop() {
  detach();
  if (connection_) PQfinish(connection_);
  connection_ = nullptr;
}

asio::awaitable<bool> Connection::Impl::wait(bool write_too) {
  if (expired_ || !socket_.is_open()) co_return false;
  if (!write_too) {
    auto [failed] = co_await socket_.async_wait(stream_descriptor::wait_read, kTuple);
    const bool good = !failed && !expired_;
    co_return good;
  }
  // Reading while sending: a server that answers before it has read everything would otherwise block both of us.
  auto [order, read_failed, write_failed] = co_await asio::experimental::make_parallel_group(
                                                socket_.async_wait(stream_descriptor::wait_read, asio::deferred),
                                                socket_.async_wait(stream_descriptor::wait_write, asio::deferred))
                                                .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  co_return !(order[0] == 0 ? read_failed : write_failed) && !expired_;
}

asio::awaitable<bool> Connection::Impl::connect(detail::ConnectParameters parameters, SteadyTime deadline) {
  std::vector<const char*> keywords, values;
  for (const auto& [keyword, value] : parameters.items) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  arm(deadline);
  connection_ = PQconnectStartParams(keywords.data(), values.data(), 0);
  if (!connection_) throw std::bad_alloc();
  PQsetNoticeReceiver(
      connection_,
      [](void* impl, const PGresult* result) {
        static_cast<Impl*>(impl)->observer_.notice(trimmed(PQresultErrorMessage(result)));
      },
      this);

  PostgresPollingStatusType status =
      PQstatus(connection_) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
    if (expired_) break;
    // The socket may be another one after each poll (next host, next address), even under the same number.
    attach();
    auto [failed] = co_await socket_.async_wait(
        status == PGRES_POLLING_READING ? stream_descriptor::wait_read : stream_descriptor::wait_write, kTuple);
    detach();
    if (failed || expired_) break;
    status = PQconnectPoll(connection_);
  }
  disarm();
  if (status != PGRES_POLLING_OK) {
    message_ = trimmed(PQerrorMessage(connection_));
    if (expired_) message_ += message_.empty() ? "no answer in time" : " (and no answer in time)";
    drop();
    co_return false;
  }
  PQsetnonblocking(connection_, 1);
  attach();
  co_return true;
}

bool Connection::Impl::alive() {
  // A server that hung up leaves an end of file; a notice or a changed parameter leaves a message to read first.
  for (int round = 0; round < 3; ++round) {
    if (!connection_ || PQstatus(connection_) != CONNECTION_OK) return false;
    const PGTransactionStatusType transaction = PQtransactionStatus(connection_);
    if (transaction != PQTRANS_IDLE && transaction != PQTRANS_INTRANS) return false;
    char byte;
    const ssize_t got = ::recv(PQsocket(connection_), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (!PQconsumeInput(connection_)) return false;
    PQisBusy(connection_);  // makes libpq look at what it has read
  }
  return true;
}

void Connection::Impl::remember(const PGresult* result) {
  if (!sqlstate_.empty() || !message_.empty()) return;  // the first error is the cause
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  sqlstate_ = state ? state : "";
  refuses_writes_ = refuses_writes_ || sqlstate_ == "25006";
  message_ = trimmed(text ? text : PQresultErrorMessage(result));
  if (message_.empty()) message_ = "connection lost";
}

void Connection::Impl::remember_lost() {
  if (!message_.empty()) return;
  message_ = expired_ ? "no answer in time" : trimmed(connection_ ? PQerrorMessage(connection_) : nullptr);
  if (message_.empty()) message_ = "connection lost";
}

Errc Connection::Impl::failure() {
  remember_lost();
  return classify(sqlstate_, sent_);
}

/// Sends what is pending and reads until libpq has a result (or the end of one). False: lost, or out of time.
asio::awaitable<bool> Connection::Impl::ready() {
  for (;;) {
    const int pending = PQflush(connection_);
    if (!PQisBusy(connection_)) co_return true;
    if (pending < 0) co_return false;
    if (!co_await wait(pending == 1)) co_return false;
    if (!PQconsumeInput(connection_) && PQisBusy(connection_)) co_return false;
  }
}

/// Reads one command to its very end. In the extended protocol the rows come before the commit; only ReadyForQuery, for
/// which libpq answers a null result on a healthy connection, says that the implicit transaction has committed.
asio::awaitable<Result<ResultPtr>> Connection::Impl::collect() {
  ResultPtr answer;
  bool failed = false;
  for (;;) {
    if (!co_await ready()) co_return failure();
    ResultPtr result(PQgetResult(connection_));
    if (!result) break;
    switch (PQresultStatus(result.get())) {
      case PGRES_TUPLES_OK:
        answer = std::move(result);
        break;
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        if (!answer) answer = std::move(result);
        break;
      case PGRES_PIPELINE_ABORTED:  // not run: an earlier one failed
        failed = true;
        break;
      default:
        remember(result.get());
        failed = true;
        if (PQstatus(connection_) != CONNECTION_OK) co_return failure();
    }
  }
  if (failed || PQstatus(connection_) != CONNECTION_OK) co_return failure();
  co_return answer;
}

bool Connection::Impl::send(const Query& query, const Params& params) {
  sent_ = true;
  const std::vector<const char*> values = params.values();
  return PQsendQueryParams(connection_, detail::ruled(query.sql), params.size(), params.types(), values.data(),
                           params.lengths(), params.formats(), kBinaryResults) == 1;
}

bool Connection::Impl::send_control(const char* sql) {
  sent_ = true;
  return PQsendQueryParams(connection_, sql, 0, nullptr, nullptr, nullptr, nullptr, kBinaryResults) == 1;
}

asio::awaitable<Result<Rows>> Connection::Impl::fetch(const Query& query, const Params& params, SteadyTime deadline) {
  const auto self = shared_from_this();
  Running running(*this, query.name, deadline);
  if (!alive()) co_return running.finished<Rows>(failure());
  if (!send(query, params)) co_return running.finished<Rows>(failure());
  Result<ResultPtr> answer = co_await collect();
  if (!answer) co_return running.finished<Rows>(answer.error());
  co_return running.finished<Rows>(Rows(answer->release()));
}

asio::awaitable<Result<void>> Connection::Impl::script(const Query& query, SteadyTime deadline) {
  const auto self = shared_from_this();
  Running running(*this, query.name, deadline);
  if (!alive()) co_return running.finished<void>(failure());
  sent_ = true;
  if (!PQsendQuery(connection_, detail::ruled(query.sql))) co_return running.finished<void>(failure());
  Result<ResultPtr> answer = co_await collect();
  if (!answer) co_return running.finished<void>(answer.error());
  co_return running.finished(Result<void>());
}

asio::awaitable<Result<std::vector<Rows>>> Connection::Impl::transact(std::span<const Statement> statements,
                                                                      SteadyTime deadline) {
  using Answer = std::vector<Rows>;
  const auto self = shared_from_this();
  Running running(*this, statements.empty() ? "empty" : statements.front().query->name, deadline);
  if (!alive()) co_return running.finished<Answer>(failure());
  bool queued = PQenterPipelineMode(connection_) == 1 && send_control("BEGIN ISOLATION LEVEL READ COMMITTED");
  for (const Statement& statement : statements) queued = queued && send(*statement.query, statement.params);
  queued = queued && send_control("COMMIT") && PQpipelineSync(connection_) == 1;
  if (!queued) co_return running.finished<Answer>(failure());

  // BEGIN, the statements, COMMIT. A failed one is followed by aborted ones, so that all answers are there to be read.
  Answer answers;
  std::optional<boost::system::error_code> failed;
  for (std::size_t i = 0; i < statements.size() + 2; ++i) {
    Result<ResultPtr> answer = co_await collect();
    if (!answer && !failed) failed = answer.error();
    if (!connection_ || PQstatus(connection_) != CONNECTION_OK || expired_) break;
    if (answer && i > 0 && i <= statements.size()) answers.emplace_back(answer->release());
  }
  if (!failed) {
    const bool synced = co_await read_sync();
    if (!synced) failed = failure();
  }
  // An answer that says "failed" came before COMMIT was reached, so it is decisive; dropping leaves the open block.
  if (failed) co_return running.finished<Answer>(*failed);
  co_return running.finished<Answer>(std::move(answers));
}

/// The end of a pipeline: only now has its transaction committed.
asio::awaitable<bool> Connection::Impl::read_sync() {
  const bool answered = co_await ready();
  if (!answered) co_return false;
  const ResultPtr result(PQgetResult(connection_));
  const bool synced = result && PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC;
  co_return synced ? PQexitPipelineMode(connection_) == 1 : false;
}

Connection::Connection(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

asio::awaitable<Result<std::unique_ptr<Connection>>> Connection::open(std::string conninfo, SteadyTime deadline,
                                                                      Observer& observer, const tracker::Clock& clock,
                                                                      std::string* why) {
  std::string message;
  Result<detail::ConnectParameters> parameters = detail::parse_conninfo(conninfo, message);
  if (parameters) parameters = co_await detail::resolve_hosts(std::move(*parameters), message);
  Errc error = Errc::store_unavailable;
  if (!parameters) {
    error = static_cast<Errc>(parameters.error().value());
  } else {
    auto impl = std::make_shared<Impl>(co_await asio::this_coro::executor, observer, clock);
    if (co_await impl->connect(std::move(*parameters), deadline)) {
      co_return std::unique_ptr<Connection>(new Connection(std::move(impl)));
    }
    message += impl->message_;
  }
  observer.connect_failed(error, message);
  if (why) *why = std::move(message);
  co_return error;
}

asio::awaitable<Result<Rows>> Connection::fetch(const Query& query, const Params& params, SteadyTime deadline) {
  return impl_->fetch(query, params, deadline);
}

asio::awaitable<Result<std::vector<Rows>>> Connection::transact(std::span<const Statement> statements,
                                                                SteadyTime deadline) {
  return impl_->transact(statements, deadline);
}

asio::awaitable<Result<void>> Connection::script(const Query& query, SteadyTime deadline) {
  return impl_->script(query, deadline);
}

bool Connection::usable() const {
  return impl_->usable();
}
const std::string& Connection::last_message() const {
  return impl_->message_;
}
const std::string& Connection::last_sqlstate() const {
  return impl_->sqlstate_;
}
}  // namespace tally::db
