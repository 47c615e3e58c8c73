#include "db/pool.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <list>
#include <mutex>
#include <random>

#include "db/detail/backoff.hpp"

namespace tally::db {
namespace asio = boost::asio;
using tracker::Errc;
using tracker::Result;
using tracker::SteadyTime;

namespace {
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
}

struct Pool::State : std::enable_shared_from_this<State> {
  struct Idle {
    std::unique_ptr<Connection> connection;
    SteadyTime since;
    bool fresh = false;  ///< never used yet
  };
  /// Lives in the frame of the coroutine that waits.
  struct Waiter {
    explicit Waiter(asio::any_io_executor executor) : wake(std::move(executor)) {}
    asio::steady_timer wake;
    std::optional<Errc> error;
  };

  State(asio::any_io_executor executor_, PoolOptions options_, const tracker::Clock& clock_, Observer& observer_)
      : executor(std::move(executor_)),
        options(std::move(options_)),
        clock(clock_),
        observer(observer_),
        backoff(options.first_backoff, options.longest_backoff),
        random(std::random_device{}()),
        sweeper(executor) {}

  ConnectionCounts counts() const { return {connecting, idle.size(), busy, waiters.size()}; }
  /// Not after `close`: what is still destroyed later may outlive the observer.
  void changed() {
    if (!closed) observer.connections_changed(counts());
  }
  std::size_t total() const { return connecting + idle.size() + busy; }

  void wake_one() {
    if (!waiters.empty()) waiters.front()->wake.cancel();
  }
  void fail_waiters(Errc error) {
    for (Waiter* waiter : waiters) {
      waiter->error = error;
      waiter->wake.cancel();
    }
  }

  std::optional<Idle> take_idle();
  void give_back(std::unique_ptr<Connection> connection);
  void keep_fresh(std::unique_ptr<Connection> connection) {
    if (!closed) idle.push_back({std::move(connection), clock.steady(), true});
    sweep_later();
  }
  void start_connecting();
  asio::awaitable<void> connect();
  void sweep_later();
  void remember(std::string message) {
    const std::lock_guard lock(problem_guard);
    problem = std::move(message);
  }

  asio::any_io_executor executor;
  PoolOptions options;
  const tracker::Clock& clock;
  Observer& observer;
  detail::Backoff backoff;
  std::mt19937_64 random;
  asio::steady_timer sweeper;
  bool sweeping = false;
  bool closed = false;
  std::size_t connecting = 0;
  std::size_t busy = 0;
  std::deque<Idle> idle;  ///< the most recently used at the back
  std::list<Waiter*> waiters;
  SteadyTime next_attempt{};
  mutable std::mutex problem_guard;  ///< guards `problem`
  std::string problem;
};

std::optional<Pool::State::Idle> Pool::State::take_idle() {
  while (!idle.empty()) {
    Idle entry = std::move(idle.back());
    idle.pop_back();
    if (entry.connection->usable()) return entry;
  }
  return std::nullopt;
}

void Pool::State::give_back(std::unique_ptr<Connection> connection) {
  --busy;
  if (!closed && connection->usable()) {
    idle.push_back({std::move(connection), clock.steady()});
    sweep_later();
  } else {
    if (!connection->last_message().empty()) remember(connection->last_message());
    connection.reset();
  }
  wake_one();
  changed();
}

void Pool::State::start_connecting() {
  ++connecting;
  changed();
  asio::co_spawn(
      executor, [self = shared_from_this()] { return self->connect(); },
      [self = shared_from_this()](std::exception_ptr failure) {
        // `connect` ends by exception only when memory is short or the executor stops.
        --self->connecting;
        if (failure) {
          self->next_attempt = self->clock.steady() + self->options.first_backoff;
          self->fail_waiters(Errc::store_unavailable);
        }
        self->wake_one();
        self->changed();
      });
}

asio::awaitable<void> Pool::State::connect() {
  // Never before the caller that started it has taken its place among those who wait.
  co_await asio::post(executor, asio::use_awaitable);
  std::string why;
  Result<std::unique_ptr<Connection>> opened =
      co_await Connection::open(options.conninfo, clock.steady() + options.connect_timeout, observer, clock, &why);
  if (opened) {
    backoff.succeeded();
    next_attempt = {};
    remember({});
    observer.connected();
    keep_fresh(std::move(*opened));
    co_return;
  }
  remember(std::move(why));
  const double spread = std::uniform_real_distribution<double>(0, 1)(random);
  next_attempt = clock.steady() + backoff.failed(spread);
  // Others may still come back from use; without them nobody can be served before the next attempt.
  if (busy == 0 && idle.empty()) fail_waiters(static_cast<Errc>(opened.error().value()));
}

void Pool::State::sweep_later() {
  if (sweeping || closed || idle.empty()) return;
  sweeping = true;
  sweeper.expires_after(options.idle_timeout);
  sweeper.async_wait([weak = weak_from_this()](boost::system::error_code cancelled) {
    const auto self = weak.lock();
    if (!self) return;
    self->sweeping = false;
    if (cancelled) return;
    const SteadyTime oldest = self->clock.steady() - self->options.idle_timeout;
    std::erase_if(self->idle, [&](const Idle& entry) { return entry.since <= oldest || !entry.connection->usable(); });
    self->changed();
    self->sweep_later();
  });
}

Pool::Pool(asio::any_io_executor executor, PoolOptions options, const tracker::Clock& clock, Observer& observer)
    : state_(std::make_shared<State>(std::move(executor), std::move(options), clock, observer)) {}

Pool::~Pool() {
  close();
}

asio::any_io_executor Pool::executor() const {
  return state_->executor;
}
const tracker::Clock& Pool::clock() const {
  return state_->clock;
}

void Pool::close() {
  state_->closed = true;
  state_->idle.clear();
  state_->sweeper.cancel();
  state_->fail_waiters(Errc::shutting_down);
}

std::string Pool::last_problem() const {
  const std::lock_guard lock(state_->problem_guard);
  return state_->problem;
}

asio::awaitable<Result<Pool::Lease>> Pool::acquire(SteadyTime deadline) {
  const std::shared_ptr<State> state = state_;
  bool fresh_start = true;
  for (;;) {
    if (state->closed) co_return Errc::shutting_down;
    // Who has waited longer goes first; a newcomer takes an idle connection only when nobody waits.
    if (!fresh_start || state->waiters.empty()) {
      if (std::optional<State::Idle> entry = state->take_idle()) {
        ++state->busy;
        if (!state->idle.empty()) state->wake_one();
        state->changed();
        co_return Lease(state, std::move(entry->connection), !entry->fresh);
      }
    }
    const SteadyTime now = state->clock.steady();
    if (now >= deadline) co_return Errc::store_unavailable;
    SteadyTime wake_at = deadline;
    if (state->total() < state->options.limit && state->connecting <= state->waiters.size()) {
      if (now >= state->next_attempt) {
        state->start_connecting();
      } else if (state->next_attempt < deadline) {
        wake_at = state->next_attempt;
      } else if (state->total() == 0) {
        co_return Errc::store_unavailable;  // nothing can come before the deadline
      }
    }

    State::Waiter waiter(state->executor);
    waiter.wake.expires_at(wake_at);
    const auto place = fresh_start ? state->waiters.insert(state->waiters.end(), &waiter)
                                   : state->waiters.insert(state->waiters.begin(), &waiter);
    fresh_start = false;
    struct Leave {
      State& state;
      std::list<State::Waiter*>::iterator place;
      ~Leave() {
        state.waiters.erase(place);
        state.changed();
      }
    } leave{*state, place};
    state->changed();
    co_await waiter.wake.async_wait(kTuple);
    if (waiter.error) co_return *waiter.error;
  }
}

asio::awaitable<Result<Rows>> Pool::fetch(const Query& query, const Params& params, std::chrono::milliseconds timeout) {
  const SteadyTime deadline = clock().steady() + timeout;
  for (int attempt = 0;; ++attempt) {
    Result<Lease> lease = co_await acquire(deadline);
    if (!lease) co_return lease.error();
    Result<Rows> rows = co_await (*lease)->fetch(query, params, deadline);
    if (rows || attempt > 0 || !query.repeatable || !lease->reused()) co_return rows;
    const bool died = rows.error() == Errc::store_unavailable || rows.error() == Errc::outcome_unknown;
    if (!died || clock().steady() >= deadline) co_return rows;
  }
}

asio::awaitable<Result<std::vector<Rows>>> Pool::transact(std::span<const Statement> statements,
                                                          std::chrono::milliseconds timeout) {
  const SteadyTime deadline = clock().steady() + timeout;
  Result<Lease> lease = co_await acquire(deadline);
  if (!lease) co_return lease.error();
  co_return co_await (*lease)->transact(statements, deadline);
}

Pool::Lease::Lease(std::shared_ptr<State> state, std::unique_ptr<Connection> connection, bool reused)
    : state_(std::move(state)), connection_(std::move(connection)), reused_(reused) {}

Pool::Lease::Lease(Lease&&) noexcept = default;

Pool::Lease& Pool::Lease::operator=(Lease&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(connection_, other.connection_);
  std::swap(reused_, other.reused_);
  return *this;
}

Pool::Lease::~Lease() {
  if (connection_) state_->give_back(std::move(connection_));
}

}  // namespace tally::db
