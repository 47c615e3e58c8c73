#include <gmock/gmock.h>

#include <cerrno>
#include <set>

#include "fixture.hpp"

namespace tally::journal {
namespace {

using test::FaultDisk;

/// What a loss of power leaves of the unsynced changes.
struct Loss {
  const char* name;
  bool power;  ///< false: only the process dies
  int mode;    ///< 0 nothing of it, 1 all of it, 2 any prefix, 3 any sectors
  std::uint64_t seed;
};
const Loss kLosses[] = {{"kill", false, 0, 0},   {"nothing", true, 0, 0}, {"everything", true, 1, 0},
                        {"prefix", true, 2, 1},  {"prefix", true, 2, 2},  {"prefix", true, 2, 3},
                        {"sectors", true, 3, 4}, {"sectors", true, 3, 5}, {"sectors", true, 3, 6}};

FaultDisk::PowerLoss power_loss(const Loss& loss, std::mt19937_64& random) {
  return {.choose = [&loss, &random](std::uint64_t most) -> std::uint64_t {
            if (loss.mode == 0) return 0;
            if (loss.mode == 1) return most;
            return random() % (most + 1);
          },
          .any_sectors = loss.mode == 3};
}

class PowerLoss : public JournalOnFaultDisk {
 protected:
  /// A short life: groups of several sizes over several segments, cuts, a trim, a clean end.
  void live(bool may_fail = false) {
    start();
    for (int i = 0; i < 12; ++i) {
      tracker::AppendGroup group;
      for (int k = 0; k <= i % 4; ++k) {
        const auto payload = std::to_string(next_++) + std::string(static_cast<std::size_t>(i * 13), 'x');
        attempted_.insert(payload);
        group.push_back(a_record(payload));
      }
      writer->append(std::move(group));
      clock.advance(std::chrono::milliseconds(200));
      writer->tick();
      if (i == 5) writer->cut(1);
      if (i == 9 && writer->stream() && !delivered.good.empty()) {
        const auto& last = delivered.good.back();
        applied_[last.stream] = last.lsn;
        const auto trimmed = directory->trim(last.stream, last.lsn, clock.wall() + std::chrono::hours(1));
        EXPECT_TRUE(trimmed || may_fail);
      }
    }
    writer->close();
  }

  /// Starts anew and compares what the streams hold with what was promised.
  void check(const std::string& when, bool lost_power) {
    SCOPED_TRACE(when);
    start();
    const auto streams = directory->streams();
    ASSERT_TRUE(streams);
    std::map<tracker::StreamId, std::map<tracker::Lsn, std::string>> found;
    for (const auto& info : *streams) {
      const auto applied = applied_[info.id];
      const auto back = read(info.id, applied);
      EXPECT_FALSE(back.error) << back.error.message();
      for (std::size_t i = 0; i < back.payloads.size(); ++i) {
        EXPECT_TRUE(attempted_.contains(back.payloads[i])) << "a record that nobody wrote";
        EXPECT_TRUE(all_found_.insert(back.payloads[i]).second) << "found twice: " << back.payloads[i];
        found[info.id][applied + i + 1] = back.payloads[i];
      }
    }
    if (writer_options.sync == SyncMode::always || !lost_power)
      for (const auto& item : delivered.good) {
        if (item.lsn <= applied_[item.stream]) continue;
        EXPECT_EQ(found[item.stream][item.lsn], item.payload) << "acknowledged and lost";
      }
    EXPECT_EQ(seen.corruptions, 0u);
  }

  void reset() {
    stop();
    disk.~FaultDisk();
    new (&disk) FaultDisk();
    options = small_segments();
    delivered = {};
    seen = {};
    next_ = 0;
    attempted_.clear();
    all_found_.clear();
    applied_.clear();
  }

  /// Kills the process at the first call, the second, ... until one life goes through.
  void die_everywhere() {
    for (const auto& loss : kLosses) {
      bool survived = false;
      for (std::uint64_t call = 1; !survived; ++call) {
        reset();
        std::mt19937_64 random(loss.seed * 1000 + call);
        disk.kill_at(call);
        try {
          live();
          survived = true;
        } catch (const FaultDisk::Killed&) {
        }
        disk.kill_at(0);
        stop();
        if (loss.power) disk.lose_power(power_loss(loss, random));
        check(std::string(loss.name) + " seed " + std::to_string(loss.seed) + " at call " + std::to_string(call),
              loss.power);
        if (HasFailure()) return;
      }
    }
  }

  int next_ = 0;
  std::set<std::string> attempted_;
  std::set<std::string> all_found_;
  std::map<tracker::StreamId, tracker::Lsn> applied_;
};

TEST_F(PowerLoss, AtAnyCallLosesNoAcknowledgedRecord) {
  die_everywhere();
}

TEST_F(PowerLoss, UnderARelaxedSyncLeavesAReadableJournal) {
  writer_options.sync = SyncMode::interval;
  die_everywhere();
}

TEST_F(PowerLoss, WithoutAnySyncLeavesAReadableJournal) {
  writer_options.sync = SyncMode::never;
  die_everywhere();
}

TEST_F(PowerLoss, AfterAnErrorAtAnyCallLosesNoAcknowledgedRecord) {
  for (const int error : {EIO, ENOSPC}) {
    for (const bool for_ever : {false, true}) {
      for (const auto& loss : kLosses) {
        std::uint64_t calls = ~std::uint64_t{0};
        for (std::uint64_t call = 1; call <= calls; ++call) {
          reset();
          std::mt19937_64 random(loss.seed * 1000 + call);
          disk.fail_at(call, error, for_ever);
          disk.write_before_failing(call * 37 % 300);
          try {
            live(true);
            if (!for_ever) {
              EXPECT_EQ(delivered.good.back().payload, std::to_string(next_ - 1) + std::string(143, 'x'));
            }
            EXPECT_EQ(delivered.good.size() + delivered.refused.size(), attempted_.size());
          } catch (const std::runtime_error&) {
            // The directory itself could not be made: the daemon says so and exits.
          }
          calls = disk.calls();
          disk.fail_at(0, 0);
          stop();
          if (loss.power) disk.lose_power(power_loss(loss, random));
          check(std::string(loss.name) + (for_ever ? " errno for ever " : " errno once ") + std::to_string(error) +
                    " at call " + std::to_string(call),
                loss.power);
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST_F(PowerLoss, LeavesOneReplicaIdForEver) {
  for (const auto& loss : kLosses) {
    bool survived = false;
    for (std::uint64_t call = 1; !survived; ++call) {
      reset();
      std::mt19937_64 random(loss.seed * 1000 + call);
      disk.kill_at(call);
      std::optional<tracker::Uuid> told;
      try {
        Directory first(disk, options, seen);
        told = first.replica_id();
        survived = true;
      } catch (const FaultDisk::Killed&) {
      }
      disk.kill_at(0);
      if (loss.power) disk.lose_power(power_loss(loss, random));
      const Directory second(disk, options, seen);
      if (told) {
        EXPECT_EQ(second.replica_id(), *told);
      }
    }
  }
}

}  // namespace
}  // namespace tally::journal
