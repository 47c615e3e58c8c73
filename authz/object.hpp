#pragma once
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

/// Who may do what with one object: user or group id -> actions. Built once per object, then only read.
class Acl {
 public:
  /// Replaces what `who` had. `*` among the actions means all.
  void set(std::string_view who, std::span<const std::string_view> actions);

  bool grants(std::string_view who, ActionWord action) const noexcept;
  /// Any of the ids; they must be sorted.
  bool grants_any(std::span<const std::string> sorted_ids, ActionWord action) const noexcept;
  /// The literal word is listed; `*` is then a word like any other.
  bool lists(std::string_view who, std::string_view action) const noexcept;
  bool empty() const noexcept { return entries_.empty(); }

 private:
  struct Entry {
    std::string who;
    ActionMask granted = 0;
    std::vector<std::string> words;
  };
  const Entry* find(std::string_view who) const noexcept;
  static bool grants(const Entry& entry, ActionWord action) noexcept;

  std::vector<Entry> entries_;  // sorted by `who`
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
