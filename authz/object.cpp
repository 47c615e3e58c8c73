#include "authz/object.hpp"

#include <algorithm>

#include "authz/detail/id_hash.hpp"

namespace tally::authz {
namespace {

constexpr std::size_t kWalked = 32;

}  // namespace

std::uint64_t hash_id(std::string_view id) noexcept {
  return detail::id_hash(id);
}

IdSet::IdSet(std::vector<std::string> ids) : texts_(std::move(ids)) {
  std::sort(texts_.begin(), texts_.end());
  texts_.erase(std::unique(texts_.begin(), texts_.end()), texts_.end());
  for (const std::string& text : texts_) {
    hashed_.push_back({hash_id(text), text});
    filter_.mark(hashed_.back().hash);
  }
  std::sort(hashed_.begin(), hashed_.end(), [](const HashedId& a, const HashedId& b) { return a.hash < b.hash; });
}

bool IdSet::search(HashedId id) const noexcept {
  auto at = std::lower_bound(hashed_.begin(), hashed_.end(), id.hash,
                             [](const HashedId& each, std::uint64_t hash) { return each.hash < hash; });
  for (; at != hashed_.end() && at->hash == id.hash; ++at) {
    if (detail::same_id(at->text, id.text)) return true;
  }
  return false;
}

void Acl::set(std::string_view who, std::span<const std::string_view> actions) {
  Entry entry{std::string(who), 0, {}};
  for (const std::string_view action : actions) {
    if (const auto known = find_action(action)) entry.granted |= *known == Action::any ? kEveryAction : bit(*known);
    entry.words.emplace_back(action);
  }
  const std::uint64_t hash = hash_id(who);
  std::size_t at = first_of(hash);
  for (; at < hashes_.size() && hashes_[at] == hash; ++at) {
    if (entries_[at].who != who) continue;
    entries_[at] = std::move(entry);
    return;
  }
  marks_ |= mark(hash);
  filter_.mark(hash);
  hashes_.insert(hashes_.begin() + static_cast<std::ptrdiff_t>(at), hash);
  entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(at), std::move(entry));
}

std::size_t Acl::first_of(std::uint64_t hash) const noexcept {
  // Short lists are walked: every step of a binary search is a branch that cannot be foreseen.
  if (hashes_.size() <= kWalked) {
    std::size_t at = 0;
    while (at < hashes_.size() && hashes_[at] < hash) ++at;
    return at;
  }
  return static_cast<std::size_t>(std::lower_bound(hashes_.begin(), hashes_.end(), hash) - hashes_.begin());
}

bool Acl::grants(const Entry& entry, ActionWord action) const noexcept {
  if ((entry.granted & bit(action.known)) != 0) return true;
  return action.known == Action::any &&
         std::find(entry.words.begin(), entry.words.end(), action.text) != entry.words.end();
}

bool Acl::grants(HashedId who, ActionWord action) const noexcept {
  if ((marks_ & mark(who.hash)) == 0) return false;
  for (std::size_t at = first_of(who.hash); at < hashes_.size() && hashes_[at] == who.hash; ++at) {
    if (detail::same_id(entries_[at].who, who.text)) return grants(entries_[at], action);
  }
  return false;
}

bool Acl::grants_any(const IdSet& ids, ActionWord action) const noexcept {
  if (!filter_.may_meet(ids.filter())) return false;
  if (ids.size() < hashes_.size() / 4) {
    return std::any_of(ids.begin(), ids.end(), [&](const HashedId& id) { return grants(id, action); });
  }
  for (std::size_t i = 0; i < hashes_.size(); ++i) {
    if (ids.contains({hashes_[i], entries_[i].who}) && grants(entries_[i], action)) return true;
  }
  return false;
}

bool Acl::lists(std::string_view who, std::string_view action) const noexcept {
  const std::uint64_t hash = hash_id(who);
  for (std::size_t at = first_of(hash); at < hashes_.size() && hashes_[at] == hash; ++at) {
    const std::vector<std::string>& words = entries_[at].words;
    if (entries_[at].who == who) return std::find(words.begin(), words.end(), action) != words.end();
  }
  return false;
}

}  // namespace tally::authz
