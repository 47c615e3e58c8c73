#include "daemon/counting/schema_keeper.hpp"

#include "daemon/log.hpp"
#include "db/migrations.hpp"

namespace tally::daemon {

using namespace std::chrono_literals;

std::string SchemaKeeper::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void SchemaKeeper::note(std::string problem, const std::string& server_says) {
  const std::lock_guard lock(mutex_);
  if (!problem.empty() && problem != problem_)
    log::error("the database's schema cannot be used", {{"detail", problem}, {"server_says", server_says}});
  problem_ = std::move(problem);
}

void SchemaKeeper::stop() {
  stopping_ = true;
  waker_.wake();
}

boost::asio::awaitable<void> SchemaKeeper::run() {
  while (!stopping_) {
    std::string why;
    const auto status = co_await db::migrate(pool_, &why);
    if (status && status->state == db::SchemaState::current) {
      note({});
      log::info("the database's schema is up to date", {{"version", status->version}});
      if (on_ready_) on_ready_();
      co_return;
    }
    if (status)
      note(status->detail);
    else if (status.error() == tracker::Errc::store_refuses)
      note("this role may not change the schema: run `tallyd migrate` as one that may", why);
    co_await waker_.wait(1s);
  }
}

}  // namespace tally::daemon
