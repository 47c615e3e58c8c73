#include "db/detail/turns.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <vector>

namespace tally::db::detail {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using tracker::Errc;

struct Askers {
  asio::io_context loop;
  Turns turns{loop.get_executor(), 2};
  std::vector<int> order;
  std::vector<int> refused;
  std::vector<std::optional<Turns::Turn>> held = std::vector<std::optional<Turns::Turn>>(10);

  void ask(int who, std::chrono::milliseconds patience = 1h) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    asio::co_spawn(loop, wait(who, deadline), asio::detached);
    settle();
  }
  void done(int who) {
    held[static_cast<std::size_t>(who)].reset();
    settle();
  }
  void settle() {
    loop.restart();
    loop.poll();
  }

 private:
  asio::awaitable<void> wait(int who, tracker::SteadyTime deadline) {
    auto turn = co_await turns.take(deadline);
    if (turn) {
      order.push_back(who);
      held[static_cast<std::size_t>(who)].emplace(std::move(*turn));
    } else if (turn.error() == Errc::overloaded) {
      refused.push_back(who);
    }
  }
};

TEST(Turns, AreTakenBySoManyAtATimeAndByTheOthersInOrder) {
  Askers all;
  for (int who = 0; who < 5; ++who) all.ask(who);
  EXPECT_EQ(all.order, (std::vector{0, 1}));
  all.done(1);
  EXPECT_EQ(all.order, (std::vector{0, 1, 2}));
  all.done(0);
  all.done(2);
  EXPECT_EQ(all.order, (std::vector{0, 1, 2, 3, 4}));
}

TEST(Turns, ThatEndTogetherWakeAsMany) {
  Askers all;
  for (int who = 0; who < 4; ++who) all.ask(who);
  all.held[0].reset();
  all.held[1].reset();
  all.ask(4);  // comes before those who wait have run, and goes behind them
  EXPECT_EQ(all.order, (std::vector{0, 1, 2, 3}));
  all.done(2);
  EXPECT_EQ(all.order, (std::vector{0, 1, 2, 3, 4}));
}

TEST(Turns, AreRefusedAtTheDeadlineAndPassedOn) {
  Askers all;
  for (int who = 0; who < 2; ++who) all.ask(who);
  all.ask(2, 1ms);
  all.ask(3);
  all.loop.restart();
  while (all.refused.empty()) all.loop.run_one();
  EXPECT_EQ(all.refused, std::vector{2});
  all.done(0);
  EXPECT_EQ(all.order, (std::vector{0, 1, 3}));
}

}  // namespace
}  // namespace tally::db::detail
