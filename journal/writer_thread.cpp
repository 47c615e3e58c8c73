#include "journal/writer_thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>

namespace tally::journal {
namespace {

using tracker::AppendGroup;
using tracker::Errc;

std::size_t payload_bytes(const AppendGroup& group) {
  std::size_t bytes = 0;
  for (const auto& append : group) bytes += append->payload.size();
  return bytes;
}

void move_to(AppendGroup& all, AppendGroup&& more) {
  if (all.empty()) {
    all = std::move(more);
    return;
  }
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

/// Signals are for other threads.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

WriterThread::WriterThread(Directory& directory, const tracker::Clock& clock, tracker::Completions& completions,
                           ThreadOptions options)
    : clock_(clock), options_(options), writer_(directory, clock, completions, options.writer) {
  writer_.open();
  stream_ = writer_.stream();
  thread_ = std::thread([this] {
    block_signals();
    ::pthread_setname_np(::pthread_self(), "journal");
    run();
  });
}

WriterThread::~WriterThread() {
  stop();
}

void WriterThread::submit(AppendGroup group) {
  if (group.empty()) return;
  const std::size_t bytes = payload_bytes(group);
  std::unique_lock lock(mutex_);
  if (stopped_) {
    // The thread is gone, and with it everything that could race with this.
    writer_.refuse(std::move(group), Errc::shutting_down);
    return;
  }
  // A group that finds nothing waiting is taken whatever its size, or it could never be.
  if (waiting_bytes_ > 0 && waiting_bytes_ + bytes > options_.max_waiting_bytes) {
    for (auto& append : group) std::string().swap(append->payload);  // what waits to be refused holds no memory
    move_to(refused_, std::move(group));
  } else {
    waiting_bytes_ += bytes;
    move_to(waiting_, std::move(group));
  }
  wake_up(lock);
}

void WriterThread::request_cut(std::uint64_t ticket) {
  std::unique_lock lock(mutex_);
  if (stopped_) {
    writer_.cut(ticket);
    return;
  }
  tickets_.push_back(ticket);
  wake_up(lock);
}

void WriterThread::roll(const tracker::StreamId& stream) {
  std::unique_lock lock(mutex_);
  if (stopped_) return;
  roll_ = stream;
  wake_up(lock);
}

/// Wakes the thread only if it sleeps and has reason to get up.
void WriterThread::wake_up(std::unique_lock<std::mutex>& lock) {
  if (!asleep_ || !has_work()) return;
  asleep_ = false;
  lock.unlock();
  wake_.notify_one();
}

bool WriterThread::has_work() const {
  return waiting_.size() >= wake_at_ || !tickets_.empty() || roll_ || !refused_.empty() || stopping_ ||
         waiting_bytes_ >= options_.writer.max_group_bytes;
}

void WriterThread::stop() {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    wake_up(lock);
  }
  if (thread_.joinable()) thread_.join();
}

std::optional<tracker::StreamId> WriterThread::stream() const {
  const std::lock_guard lock(mutex_);
  return stream_;
}

/// Returns when there is work or `until` has come.
void WriterThread::sleep(std::unique_lock<std::mutex>& lock, std::optional<tracker::SteadyTime> until) {
  while (!has_work()) {
    asleep_ = true;
    if (!until) {
      wake_.wait(lock);
    } else if (wake_.wait_until(lock, *until) == std::cv_status::timeout) {
      break;
    }
  }
  asleep_ = false;
}

void WriterThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_at_ = 1;
    sleep(lock, writer_.next_tick());
    if (!waiting_.empty() && expected_ > waiting_.size()) {
      wake_at_ = expected_;
      sleep(lock, clock_.steady() + options_.gather);
    }
    auto group = std::exchange(waiting_, {});
    auto refused = std::exchange(refused_, {});
    auto tickets = std::exchange(tickets_, {});
    const auto roll = std::exchange(roll_, std::nullopt);
    waiting_bytes_ = 0;
    const bool last = stopping_;
    // Clients that wait for their answer come back together: the next group waits for half as many as the last one had,
    // so that it does not leave with the first few. Few clients never wait, a steady stream waits no longer than its
    // last sync took.
    expected_ = group.size() / 2;
    lock.unlock();

    if (!refused.empty()) writer_.refuse(std::move(refused), Errc::overloaded);
    if (!group.empty()) writer_.append(std::move(group));
    for (const auto ticket : tickets) writer_.cut(ticket);
    if (roll) writer_.roll(*roll);
    writer_.tick();
    const auto stream = writer_.stream();

    lock.lock();
    stream_ = stream;
    if (last && waiting_.empty() && refused_.empty() && tickets_.empty()) break;
  }
  writer_.close();
  stream_.reset();
  stopped_ = true;
}

}  // namespace tally::journal
