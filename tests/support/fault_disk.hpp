#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "journal/disk.hpp"

namespace tally::test {

/// A file system in memory that loses power and fails as told. What was written but not synced is kept apart, so that a
/// loss of power can leave any part of it. Strict where systems differ: a new file's name is durable only after its
/// directory was synced; after a failed sync nothing that was dirty ever becomes durable, though it can still be read.
/// One thread at a time.
class FaultDisk final : public journal::Disk {
 public:
  enum class Call : std::uint8_t {
    write,
    sync,
    allocate,
    truncate,
    create,
    lock,
    make_directory,
    remove,
    rename,
    sync_directory
  };

  /// The process dies: thrown out of the call at which `kill_at` stands, before the call has any effect.
  struct Killed {};

  /// What a loss of power leaves of `n` unsynced changes: which of them, asked for each file and each directory.
  struct PowerLoss {
    /// How many of the first changes survive whole; of the next write, how many 512-byte sectors.
    std::function<std::uint64_t(std::uint64_t most)> choose;
    /// Also sectors in any order, as a disk with a write cache may do it.
    bool any_sectors = false;
  };

  FaultDisk();
  ~FaultDisk() override;

  /// Changing calls made so far; a fault or kill at N hits the N-th.
  std::uint64_t calls() const { return calls_; }
  void kill_at(std::uint64_t call) { kill_at_ = call; }
  /// The N-th changing call fails, and with `for_ever` all later ones.
  void fail_at(std::uint64_t call, int error, bool for_ever = false);
  /// All calls of a kind fail until told otherwise (0).
  void fail_calls(Call kind, int error) { failing_[kind] = error; }
  /// Of a failing write, this much is written before it fails.
  void write_before_failing(std::size_t bytes) { short_write_ = bytes; }
  /// Bytes that may be allocated in all.
  void set_space(std::uint64_t bytes) { space_ = bytes; }
  void set_time(tracker::WallTime now) { now_ = now; }

  /// Every process dies and the power goes: only what was synced is there, and what `loss` leaves of the rest.
  void lose_power(const PowerLoss& loss);

  /// For damage by the test's own hand.
  std::vector<std::byte>& content(const std::string& path);
  std::vector<std::string> files() const;
  /// A copy of everything as a process sees it, with nothing unsynced and no faults.
  std::unique_ptr<FaultDisk> clone() const;

  journal::Result<std::unique_ptr<journal::File>> create(const std::string& path) override;
  journal::Result<std::unique_ptr<journal::File>> open(const std::string& path) override;
  journal::Result<std::unique_ptr<journal::Lock>> try_lock(const std::string& path) override;
  journal::Result<bool> is_locked(const std::string& path) override;
  journal::Status make_directory(const std::string& path) override;
  journal::Status remove(const std::string& path) override;
  journal::Status remove_directory(const std::string& path) override;
  journal::Status rename(const std::string& from, const std::string& to) override;
  journal::Status sync_directory(const std::string& path) override;
  journal::Result<std::vector<journal::DirectoryEntry>> list(const std::string& path) override;

 private:
  struct Node;
  class OpenFile;
  class HeldLock;
  using Names = std::map<std::string, std::shared_ptr<Node>>;  ///< by path
  struct NameChange {
    std::string path;
    std::shared_ptr<Node> node;  ///< null: removed
  };

  std::optional<int> fault(Call kind);
  journal::Status change_name(const std::string& path, std::shared_ptr<Node> node);
  std::uint64_t allocated() const;

  Names names_;
  Names durable_names_;
  std::map<std::string, std::vector<NameChange>> unsynced_names_;  ///< by directory
  std::shared_ptr<std::set<std::string>> locked_;

  std::uint64_t calls_ = 0;
  std::uint64_t kill_at_ = 0;
  std::uint64_t fail_at_ = 0;
  int fail_error_ = 0;
  bool fail_for_ever_ = false;
  std::map<Call, int> failing_;
  std::size_t short_write_ = 0;
  std::uint64_t space_ = ~std::uint64_t{0};
  tracker::WallTime now_{};
};

}  // namespace tally::test
