#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>
#include <memory>
#include <utility>

#include "tracker/clock.hpp"
#include "tracker/errors.hpp"

namespace tally::db::detail {

/// So many at a time; who comes later waits, in order. All calls on one executor.
class Turns {
  struct State {
    std::size_t free;
    std::list<boost::asio::steady_timer*> waiting;  ///< each lives in the frame of who waits
    void wake_one() {
      if (free > 0 && !waiting.empty()) waiting.front()->cancel();
    }
  };

 public:
  class Turn {
   public:
    explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Turn(Turn&&) noexcept = default;
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (!state_) return;
      ++state_->free;
      state_->wake_one();
    }

   private:
    std::shared_ptr<State> state_;
  };

  Turns(boost::asio::any_io_executor executor, std::size_t at_once)
      : executor_(std::move(executor)), state_(std::make_shared<State>(State{at_once, {}})) {}

  /// `overloaded`: not until the deadline.
  boost::asio::awaitable<tracker::Result<Turn>> take(tracker::SteadyTime deadline) {
    const std::shared_ptr<State> state = state_;
    bool waited = false;
    while (state->free == 0 || (!waited && !state->waiting.empty())) {
      boost::asio::steady_timer timer(executor_, deadline);
      const auto place = waited ? state->waiting.insert(state->waiting.begin(), &timer)
                                : state->waiting.insert(state->waiting.end(), &timer);
      struct Leave {
        State& state;
        std::list<boost::asio::steady_timer*>::iterator place;
        ~Leave() {
          state.waiting.erase(place);
          state.wake_one();
        }
      } leave{*state, place};
      waited = true;
      auto [woken] = co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
      if (!woken) co_return tracker::Errc::overloaded;  // the deadline
    }
    --state->free;
    Turn turn(state);
    co_return turn;
  }

 private:
  boost::asio::any_io_executor executor_;
  std::shared_ptr<State> state_;
};

}  // namespace tally::db::detail
