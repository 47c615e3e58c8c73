#include "daemon/auth/rights_sync.hpp"

#include "daemon/log.hpp"

namespace tally::daemon {

using namespace std::chrono_literals;

void RightsSync::seen(std::int64_t version) {
  wanted_ = version;
  // A lower version than ours: the database was restored. Ask for everything again.
  if (version != book_.version()) waker_.wake();
}

void RightsSync::stop() {
  stopping_ = true;
  waker_.wake();
}

boost::asio::awaitable<void> RightsSync::run() {
  while (!stopping_) {
    if (wanted_ != book_.version() && wanted_ > 0) {
      const auto changes = co_await store_.changes(wanted_ < book_.version() ? 0 : book_.version());
      if (changes)
        book_.apply(*changes);
      else
        log::warn("changed rights could not be read", {{"error", changes.error().message()}});
    }
    if (book_.dirty()) {
      const bool saved = co_await disk_.run([this] { return book_.save(); });
      if (!saved)
        log::warn("the known rights could not be saved; they are lost with a restart while the database is away");
    }
    if (!stopping_) co_await waker_.wait(1s);
  }
  // What was learnt in the last second is honoured by the next start too, even if the database is away then.
  if (book_.dirty()) co_await disk_.run([this] { return book_.save(); });
}

}  // namespace tally::daemon
