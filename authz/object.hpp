#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "authz/catalog.hpp"

namespace tally::authz {

/// The user that owns prebuilt workspaces until somebody claims them.
inline constexpr std::string_view kPrebuildsUserId = "c42fdf75-3097-471c-8c33-fb52454d81c0";

/// A set of actions with one bit each; the bit of `any` also stands for every unknown word.
using ActionMask = std::uint32_t;
constexpr ActionMask bit(Action action) {
  return ActionMask{1} << static_cast<unsigned>(action);
}
inline constexpr ActionMask kEveryAction = (ActionMask{1} << kActionCount) - 1;

/// An id to be looked for many times: its hash is taken once.
struct HashedId {
  std::uint64_t hash = 0;
  std::string_view text;
};
std::uint64_t hash_id(std::string_view id) noexcept;

/// One bit of 512 for each hash of a set: says at once, most of the time, that something is not in it.
class HashFilter {
 public:
  void mark(std::uint64_t hash) noexcept { words_[hash % kBits / 64] |= std::uint64_t{1} << (hash % 64); }
  bool may_contain(std::uint64_t hash) const noexcept { return (words_[hash % kBits / 64] >> (hash % 64) & 1) != 0; }
  /// False: the two sets have nothing in common.
  bool may_meet(const HashFilter& other) const noexcept {
    std::uint64_t common = 0;
    for (std::size_t i = 0; i < words_.size(); ++i) common |= words_[i] & other.words_[i];
    return common != 0;
  }

 private:
  static constexpr std::uint64_t kBits = 512;
  std::array<std::uint64_t, kBits / 64> words_{};
};

/// Ids that are looked up often, most of the time in vain.
class IdSet {
 public:
  IdSet() = default;
  explicit IdSet(std::vector<std::string> ids);
  IdSet(IdSet&&) = default;
  IdSet& operator=(IdSet&&) = default;
  IdSet(const IdSet&) = delete;  // the views point into this one's texts
  IdSet& operator=(const IdSet&) = delete;

  bool contains(HashedId id) const noexcept { return filter_.may_contain(id.hash) && search(id); }
  const HashFilter& filter() const noexcept { return filter_; }
  const std::vector<std::string>& texts() const noexcept { return texts_; }  ///< sorted
  std::size_t size() const noexcept { return hashed_.size(); }
  auto begin() const noexcept { return hashed_.begin(); }
  auto end() const noexcept { return hashed_.end(); }

 private:
  bool search(HashedId id) const noexcept;

  HashFilter filter_;
  std::vector<HashedId> hashed_;  // sorted by hash
  std::vector<std::string> texts_;
};

/// Who may do what with one object: user or group id -> actions. Built once per object, then only read.
class Acl {
 public:
  /// Replaces what `who` had. `*` among the actions means all.
  void set(std::string_view who, std::span<const std::string_view> actions);

  bool grants(HashedId who, ActionWord action) const noexcept;
  bool grants(std::string_view who, ActionWord action) const noexcept { return grants({hash_id(who), who}, action); }
  bool grants_any(const IdSet& ids, ActionWord action) const noexcept;
  /// The literal word is listed; `*` is then a word like any other.
  bool lists(std::string_view who, std::string_view action) const noexcept;
  bool empty() const noexcept { return entries_.empty(); }

 private:
  struct Entry {
    std::string who;
    ActionMask granted = 0;
    std::vector<std::string> words;
  };
  std::size_t first_of(std::uint64_t hash) const noexcept;
  bool grants(const Entry& entry, ActionWord action) const noexcept;

  static std::uint64_t mark(std::uint64_t hash) noexcept { return std::uint64_t{1} << (hash >> 58); }

  std::uint64_t marks_ = 0;            // of all hashes: the first word that a look-up needs
  HashFilter filter_;                  // the same, finer: for whole sets
  std::vector<std::uint64_t> hashes_;  // sorted
  std::vector<Entry> entries_;         // in the order of their hashes
};

/// What is asked about. Texts and lists belong to the caller and must outlive the call. Absent ids are empty.
struct Object {
  TypeWord type;
  std::string_view id;
  std::string_view owner;
  std::string_view org;
  bool any_org = false;  ///< "in any org that the subject belongs to"; not together with `org`
  const Acl* acl_user = nullptr;
  const Acl* acl_group = nullptr;
};

}  // namespace tally::authz
