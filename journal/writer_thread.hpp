#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "journal/stream_writer.hpp"
#include "tracker/ports.hpp"

namespace tally::journal {

struct ThreadOptions {
  WriterOptions writer;
  /// Payloads that may wait while another group of at most as many is being written; beyond: `overloaded`.
  std::size_t max_waiting_bytes = 32u << 20;
  std::chrono::microseconds gather{1000};  ///< the longest that a group waits for more records
};

/// The journal of the daemon: a thread around a `StreamWriter`, which takes all that waits, writes it as one group and
/// delivers it. Thread-safe. `Completions` is called on that thread; after `stop` in the caller's.
/// A cut covers at least everything that the same thread submitted before it asked.
class WriterThread final : public tracker::Journal {
 public:
  /// Opens the stream before it returns if the disk lets it; keeps trying otherwise. All must outlive it.
  WriterThread(Directory& directory, const tracker::Clock& clock, tracker::Completions& completions,
               ThreadOptions options = {});
  ~WriterThread() override;

  void submit(tracker::AppendGroup group) override;
  void request_cut(std::uint64_t ticket) override;
  void roll(const tracker::StreamId& stream) override;

  /// Writes and delivers what waits, answers the cuts that wait, closes the stream, ends the thread. Idempotent. What
  /// is submitted later comes back as `shutting_down`; later cuts repeat the end of the stream.
  void stop();

  /// The stream that takes appends now; none while the disk lets us have none.
  std::optional<tracker::StreamId> stream() const;

 private:
  void run();
  void sleep(std::unique_lock<std::mutex>& lock, std::optional<tracker::SteadyTime> until);
  void wake_up(std::unique_lock<std::mutex>& lock);
  bool has_work() const;

  const tracker::Clock& clock_;
  const ThreadOptions options_;
  StreamWriter writer_;       ///< the thread's own, until it has ended
  std::size_t expected_ = 0;  ///< the thread's own: records worth waiting for

  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable wake_;
  bool asleep_ = false;
  bool stopping_ = false;
  bool stopped_ = false;
  std::size_t wake_at_ = 1;  ///< records that get the thread up
  tracker::AppendGroup waiting_;
  tracker::AppendGroup refused_;  ///< overload, without payloads
  std::size_t waiting_bytes_ = 0;
  std::vector<std::uint64_t> tickets_;
  std::optional<tracker::StreamId> roll_;  ///< to be ended
  std::optional<tracker::StreamId> stream_;

  std::thread thread_;
};

}  // namespace tally::journal
