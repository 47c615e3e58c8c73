#include "fault_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tally::test {
namespace {

using journal::File;
using journal::Lock;
using journal::Result;
using journal::Status;

constexpr std::uint64_t kSector = 512;

boost::system::error_code system_error(int code) {
  return {code, boost::system::system_category()};
}

std::string parent_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

void write_into(std::vector<std::byte>& content, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  if (!bytes.empty()) std::memcpy(content.data() + offset, bytes.data(), bytes.size());
}

}  // namespace

struct FaultDisk::Node {
  struct Change {
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
    std::optional<std::uint64_t> resized;
    bool lost = false;  ///< a sync failed over it: it may reach the disk, but no sync makes it
  };

  bool is_directory = false;
  tracker::WallTime modified{};
  std::vector<std::byte> content;  ///< as processes see it
  std::vector<std::byte> durable;
  std::vector<Change> unsynced;

  void settle() {
    std::erase_if(unsynced, [this](const Change& change) {
      if (change.lost) return false;
      apply(change);
      return true;
    });
  }
  void apply(const Change& change) {
    if (change.resized)
      durable.resize(*change.resized);
    else
      write_into(durable, change.offset, change.bytes);
  }
  /// One sector of a write, or as much of it as the write touches.
  void apply_sector(const Change& change, std::uint64_t sector) {
    const std::uint64_t begin = std::max(change.offset, sector * kSector);
    const std::uint64_t end = std::min(change.offset + change.bytes.size(), (sector + 1) * kSector);
    write_into(durable, begin, std::span(change.bytes).subspan(begin - change.offset, end - begin));
  }
  void lose_power(const PowerLoss& loss) {
    const std::uint64_t whole = unsynced.empty() ? 0 : loss.choose(unsynced.size());
    for (std::uint64_t i = 0; i < unsynced.size(); ++i) {
      const Change& change = unsynced[i];
      if (i < whole) {
        apply(change);
        continue;
      }
      if (i > whole && !loss.any_sectors) break;
      if (change.resized || change.bytes.empty()) continue;
      const std::uint64_t first = change.offset / kSector;
      const std::uint64_t sectors = (change.offset + change.bytes.size() - 1) / kSector - first + 1;
      if (loss.any_sectors) {
        for (std::uint64_t s = 0; s < sectors; ++s)
          if (loss.choose(1) == 1) apply_sector(change, first + s);
      } else {
        const std::uint64_t kept = loss.choose(sectors - 1);
        for (std::uint64_t s = 0; s < kept; ++s) apply_sector(change, first + s);
      }
    }
    unsynced.clear();
    content = durable;
  }
};

class FaultDisk::OpenFile final : public File {
 public:
  OpenFile(FaultDisk& disk, std::shared_ptr<Node> node) : disk_(disk), node_(std::move(node)) {}

  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const auto error = disk_.fault(Call::write);
    if (error) bytes = bytes.first(std::min(bytes.size(), disk_.short_write_));
    if (!bytes.empty()) {
      write_into(node_->content, offset, bytes);
      node_->unsynced.push_back({offset, {bytes.begin(), bytes.end()}, std::nullopt, false});
      node_->modified = disk_.now_;
    }
    if (error) return system_error(*error);
    return {};
  }
  Status sync_data() override { return sync(); }
  Status sync() override {
    if (const auto error = disk_.fault(Call::sync)) {
      for (auto& change : node_->unsynced) change.lost = true;
      return system_error(*error);
    }
    node_->settle();
    return {};
  }
  Status allocate(std::uint64_t bytes) override {
    if (const auto error = disk_.fault(Call::allocate)) return system_error(*error);
    if (bytes > node_->content.size() && disk_.allocated() + bytes - node_->content.size() > disk_.space_)
      return system_error(ENOSPC);
    if (bytes > node_->content.size()) resize(bytes);
    return {};
  }
  Status truncate(std::uint64_t bytes) override {
    if (const auto error = disk_.fault(Call::truncate)) return system_error(*error);
    resize(bytes);
    return {};
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    const auto& content = node_->content;
    if (offset >= content.size()) return std::size_t{0};
    const auto count = std::min<std::uint64_t>(into.size(), content.size() - offset);
    if (count > 0) std::memcpy(into.data(), content.data() + offset, count);
    return static_cast<std::size_t>(count);
  }
  Result<std::uint64_t> size() override { return std::uint64_t{node_->content.size()}; }

 private:
  void resize(std::uint64_t bytes) {
    node_->content.resize(bytes);
    node_->unsynced.push_back({0, {}, bytes, false});
  }

  FaultDisk& disk_;
  std::shared_ptr<Node> node_;
};

class FaultDisk::HeldLock final : public Lock {
 public:
  HeldLock(std::shared_ptr<std::set<std::string>> locked, std::string path)
      : locked_(std::move(locked)), path_(std::move(path)) {
    locked_->insert(path_);
  }
  ~HeldLock() override { locked_->erase(path_); }

 private:
  std::shared_ptr<std::set<std::string>> locked_;
  std::string path_;
};

FaultDisk::FaultDisk() : locked_(std::make_shared<std::set<std::string>>()) {
  const auto root = std::make_shared<Node>();
  root->is_directory = true;
  names_["/"] = durable_names_["/"] = root;
}

FaultDisk::~FaultDisk() = default;

void FaultDisk::fail_at(std::uint64_t call, int error, bool for_ever) {
  fail_at_ = call;
  fail_error_ = error;
  fail_for_ever_ = for_ever;
}

std::optional<int> FaultDisk::fault(Call kind) {
  ++calls_;
  if (kill_at_ != 0 && calls_ >= kill_at_) throw Killed{};
  if (fail_at_ != 0 && (calls_ == fail_at_ || (fail_for_ever_ && calls_ > fail_at_))) return fail_error_;
  if (const auto found = failing_.find(kind); found != failing_.end() && found->second != 0) return found->second;
  return std::nullopt;
}

std::uint64_t FaultDisk::allocated() const {
  std::uint64_t bytes = 0;
  for (const auto& [path, node] : names_) bytes += node->content.size();
  return bytes;
}

void FaultDisk::lose_power(const PowerLoss& loss) {
  for (auto& [directory, changes] : unsynced_names_) {
    const auto kept = changes.empty() ? 0 : loss.choose(changes.size());
    for (std::uint64_t i = 0; i < kept; ++i) {
      if (changes[i].node)
        durable_names_[changes[i].path] = changes[i].node;
      else
        durable_names_.erase(changes[i].path);
    }
  }
  unsynced_names_.clear();
  // What is below a directory that was lost is lost with it.
  for (bool again = true; again;)
    again = std::erase_if(durable_names_, [this](const auto& entry) {
              return entry.first != "/" && !durable_names_.contains(parent_of(entry.first));
            }) > 0;
  for (auto& [path, node] : durable_names_) node->lose_power(loss);
  names_ = durable_names_;
  locked_ = std::make_shared<std::set<std::string>>();
}

std::vector<std::byte>& FaultDisk::content(const std::string& path) {
  return names_.at(path)->content;
}

std::vector<std::string> FaultDisk::files() const {
  std::vector<std::string> paths;
  for (const auto& [path, node] : names_)
    if (!node->is_directory) paths.push_back(path);
  return paths;
}

std::unique_ptr<FaultDisk> FaultDisk::clone() const {
  auto copy = std::make_unique<FaultDisk>();
  for (const auto& [path, node] : names_) {
    const auto fresh = std::make_shared<Node>(*node);
    fresh->durable = fresh->content;
    fresh->unsynced.clear();
    copy->names_[path] = copy->durable_names_[path] = fresh;
  }
  copy->now_ = now_;
  return copy;
}

Status FaultDisk::change_name(const std::string& path, std::shared_ptr<Node> node) {
  if (!names_.contains(parent_of(path))) return system_error(ENOENT);
  if (node)
    names_[path] = node;
  else
    names_.erase(path);
  unsynced_names_[parent_of(path)].push_back({path, std::move(node)});
  return {};
}

Result<std::unique_ptr<File>> FaultDisk::create(const std::string& path) {
  if (const auto error = fault(Call::create)) return system_error(*error);
  if (names_.contains(path)) return system_error(EEXIST);
  const auto node = std::make_shared<Node>();
  node->modified = now_;
  if (const auto made = change_name(path, node); !made) return made.error();
  return std::make_unique<OpenFile>(*this, node);
}

Result<std::unique_ptr<File>> FaultDisk::open(const std::string& path) {
  const auto found = names_.find(path);
  if (found == names_.end()) return system_error(ENOENT);
  return std::make_unique<OpenFile>(*this, found->second);
}

Result<std::unique_ptr<Lock>> FaultDisk::try_lock(const std::string& path) {
  if (const auto error = fault(Call::lock)) return system_error(*error);
  if (!names_.contains(path)) {
    const auto node = std::make_shared<Node>();
    write_into(node->content, 0, std::as_bytes(std::span("1\n", 2)));
    if (const auto made = change_name(path, node); !made) return made.error();
  }
  if (locked_->contains(path)) return system_error(EWOULDBLOCK);
  return std::make_unique<HeldLock>(locked_, path);
}

Result<bool> FaultDisk::is_locked(const std::string& path) {
  return locked_->contains(path);
}

Status FaultDisk::make_directory(const std::string& path) {
  if (const auto error = fault(Call::make_directory)) return system_error(*error);
  if (names_.contains(path)) return system_error(EEXIST);
  const auto node = std::make_shared<Node>();
  node->is_directory = true;
  node->modified = now_;
  return change_name(path, node);
}

Status FaultDisk::remove(const std::string& path) {
  if (const auto error = fault(Call::remove)) return system_error(*error);
  if (!names_.contains(path)) return system_error(ENOENT);
  return change_name(path, nullptr);
}

Status FaultDisk::remove_directory(const std::string& path) {
  if (const auto error = fault(Call::remove)) return system_error(*error);
  if (!names_.contains(path)) return system_error(ENOENT);
  for (const auto& [other, node] : names_)
    if (parent_of(other) == path) return system_error(ENOTEMPTY);
  return change_name(path, nullptr);
}

Status FaultDisk::rename(const std::string& from, const std::string& to) {
  if (const auto error = fault(Call::rename)) return system_error(*error);
  const auto found = names_.find(from);
  if (found == names_.end()) return system_error(ENOENT);
  const auto node = found->second;
  if (const auto made = change_name(to, node); !made) return made.error();
  return change_name(from, nullptr);
}

Status FaultDisk::sync_directory(const std::string& path) {
  if (const auto error = fault(Call::sync_directory)) return system_error(*error);
  if (!names_.contains(path)) return system_error(ENOENT);
  for (auto& change : unsynced_names_[path]) {
    if (change.node)
      durable_names_[change.path] = change.node;
    else
      durable_names_.erase(change.path);
  }
  unsynced_names_.erase(path);
  return {};
}

Result<std::vector<journal::DirectoryEntry>> FaultDisk::list(const std::string& path) {
  if (!names_.contains(path)) return system_error(ENOENT);
  std::vector<journal::DirectoryEntry> entries;
  for (const auto& [other, node] : names_)
    if (other != "/" && parent_of(other) == path)
      entries.push_back(
          {other.substr(path == "/" ? 1 : path.size() + 1), node->is_directory, node->content.size(), node->modified});
  return entries;
}

}  // namespace tally::test
