#include "daemon/counting/intake.hpp"

#include <boost/asio/post.hpp>

namespace tally::daemon {

namespace asio = boost::asio;

struct Intake::Thread {
  Thread(asio::any_io_executor where, const tracker::AccumulatorLimits& limits)
      : executor(std::move(where)), shard(limits) {}
  asio::any_io_executor executor;
  tracker::Shard shard;
  tracker::AppendGroup outgoing;
  Volume since_cut;  // this thread's
  std::mutex mutex;  // guards `untaken`
  Volume untaken;
};

/// The parts of one cut, filled by the shards' threads and read by the last of them.
struct Intake::Collection {
  tracker::Cut cut;
  std::vector<tracker::Shard::Part> parts;
  std::vector<Volume> volumes;
  std::atomic<std::size_t> missing;
  Collection(const tracker::Cut& what, std::size_t shards)
      : cut(what), parts(shards), volumes(shards), missing(shards) {}
};

Intake::Intake(std::vector<asio::any_io_executor> threads, asio::any_io_executor counting,
               tracker::AccumulatorLimits limits)
    : counting_(std::move(counting)) {
  for (auto& executor : threads) threads_.push_back(std::make_unique<Thread>(std::move(executor), limits));
}

Intake::~Intake() = default;

void Intake::on_cut(OnCut handler, std::function<void()> on_urgent) {
  on_cut_ = std::move(handler);
  on_urgent_ = std::move(on_urgent);
}

void Intake::add(std::uint32_t thread, std::unique_ptr<PendingRecord> record) {
  Thread& mine = *threads_[thread];
  record->shard = thread;
  mine.outgoing.push_back(std::move(record));
  // Behind the requests that are ready in this turn of the loop: they travel together and wake the journal once.
  if (mine.outgoing.size() == 1) asio::post(mine.executor, [this, &mine] { hand_over(mine); });
}

void Intake::hand_over(Thread& thread) {
  tracker::AppendGroup group;
  group.reserve(thread.outgoing.capacity());
  group.swap(thread.outgoing);
  journal_->submit(std::move(group));
}

void Intake::deliver(std::uint32_t shard, tracker::AppendGroup group) {
  Thread& thread = *threads_[shard];
  asio::post(thread.executor, [this, &thread, group = std::move(group)]() mutable { settle(thread, group); });
}

void Intake::settle(Thread& thread, tracker::AppendGroup& group) {
  Volume acknowledged;
  for (const auto& record : group) {
    auto& pending = static_cast<PendingRecord&>(*record);
    if (!pending.error) {
      thread.shard.track(pending);
      acknowledged += pending.volume;
    }
  }
  {
    const std::lock_guard lock(thread.mutex);
    thread.untaken += acknowledged;
  }
  thread.since_cut += acknowledged;
  for (const auto& record : group) static_cast<PendingRecord&>(*record).settled();
  if (thread.shard.wants_cut() && !urgent_.exchange(true)) asio::post(counting_, on_urgent_);
}

void Intake::cut(const tracker::Cut& cut) {
  // Several cuts may ask before one comes; a sealed stream's ids are never taken as sent for its successor.
  if (new_epoch_wanted_.exchange(false) || cut.sealed) ++epoch_;
  const auto collection = std::make_shared<Collection>(cut, threads_.size());
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    asio::post(threads_[i]->executor, [this, collection, i, epoch = epoch_] {
      if (collection->cut.sealed && on_sealed_) on_sealed_();
      collection->parts[i] = threads_[i]->shard.cut(epoch);
      collection->volumes[i] = std::exchange(threads_[i]->since_cut, {});
      if (collection->missing.fetch_sub(1) > 1) return;
      urgent_ = false;
      asio::post(counting_,
                 [this, collection] { on_cut_(collection->cut, std::move(collection->parts), collection->volumes); });
    });
  }
}

Volume Intake::untaken() const {
  Volume acknowledged;
  for (const auto& thread : threads_) {
    const std::lock_guard lock(thread->mutex);
    acknowledged += thread->untaken;
  }
  return acknowledged;
}

Volume Intake::take(const std::vector<Volume>& volumes) {
  Volume taken;
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    taken += volumes[i];
    const std::lock_guard lock(threads_[i]->mutex);
    threads_[i]->untaken -= volumes[i];
  }
  return taken;
}

}  // namespace tally::daemon
