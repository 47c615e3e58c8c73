#pragma once
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "daemon/counting/volume.hpp"
#include "tracker/ports.hpp"
#include "tracker/shard.hpp"

namespace tally::daemon {

/// A record on its way through the journal, with what answers its request.
struct PendingRecord : tracker::Append {
  /// On the thread of its shard, after it was tracked or refused (`error` set). The last call.
  virtual void settled() = 0;
  Volume volume;
};

/// Between the http threads and the journal: hands records over in batches, takes them back into the threads' shards,
/// and turns the journal's cuts into parts for the flusher. `add` is called on http threads, `deliver` and `cut` on the
/// journal's.
class Intake final : public tracker::Completions {
 public:
  /// `threads`: where each shard lives. `counting`: where cuts are handed to.
  Intake(std::vector<boost::asio::any_io_executor> threads, boost::asio::any_io_executor counting,
         tracker::AccumulatorLimits limits);
  ~Intake() override;

  void attach(tracker::Journal& journal) { journal_ = &journal; }

  /// A cut with the parts of all shards and what each acknowledged since the last; called on the counting executor, in
  /// the order of the cuts. Whoever answers for these volumes from then on calls `take` with them.
  using OnCut = std::function<void(const tracker::Cut&, std::vector<tracker::Shard::Part>, const std::vector<Volume>&)>;
  /// Something should not wait for the flush interval; called on the counting executor.
  void on_cut(OnCut handler, std::function<void()> on_urgent);

  /// A stream ended early (its disk failed); called on each http thread behind the last record of that stream.
  void on_sealed(std::function<void()> handler) { on_sealed_ = std::move(handler); }

  /// Hands the record to the journal together with what else comes up in this turn of the event loop.
  void add(std::uint32_t thread, std::unique_ptr<PendingRecord> record);
  /// The next cut begins a new epoch (tracker/stream_flush.hpp). Thread-safe.
  void want_new_epoch() { new_epoch_wanted_ = true; }

  void deliver(std::uint32_t shard, tracker::AppendGroup group) override;
  void cut(const tracker::Cut& cut) override;

  /// Acknowledged and not taken yet: what is in no cut, and what is in one that is still on its way. Thread-safe.
  Volume untaken() const;
  /// Takes the volumes of a cut out of `untaken` and answers their sum. Thread-safe.
  Volume take(const std::vector<Volume>& volumes);

 private:
  struct Thread;
  struct Collection;
  void hand_over(Thread& thread);
  void settle(Thread& thread, tracker::AppendGroup& group);

  tracker::Journal* journal_ = nullptr;
  boost::asio::any_io_executor counting_;
  std::vector<std::unique_ptr<Thread>> threads_;
  OnCut on_cut_;
  std::function<void()> on_urgent_;
  std::function<void()> on_sealed_;
  std::atomic<bool> new_epoch_wanted_{false};
  std::atomic<bool> urgent_{false};
  std::uint64_t epoch_ = 1;  // the journal's thread
};

}  // namespace tally::daemon
