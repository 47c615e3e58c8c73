#include "tracker/key_memory.hpp"

#include "tracker/rules.hpp"

namespace tally::tracker {

KeyMemory::Known KeyMemory::look_up(const Uuid& key, std::uint64_t body, SteadyTime now) const {
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(key);
  if (found == shard.entries.end() || now - found->second.since >= window_) return Known::no;
  return found->second.body == body || !holds("S9.body") ? Known::same : Known::conflict;
}

void KeyMemory::remember(const Uuid& key, std::uint64_t body, SteadyTime now) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto [entry, fresh] = shard.entries.try_emplace(key, Entry{body, now});
  if (!fresh) {
    // The first copy's time counts while it lasts; past the window this is a new use of the key.
    if (now - entry->second.since < window_) return;
    entry->second = {body, now};
  }
  shard.by_age.emplace_back(key, now);
  while (!shard.by_age.empty() &&
         (shard.by_age.size() > shard_capacity_ || now - shard.by_age.front().second >= window_)) {
    const auto& [oldest, since] = shard.by_age.front();
    const auto held = shard.entries.find(oldest);
    if (held != shard.entries.end() && held->second.since == since) shard.entries.erase(held);
    shard.by_age.pop_front();
  }
}

void KeyMemory::forget_all() {
  if (!holds("S9.seal")) return;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.entries.clear();
    shard.by_age.clear();
  }
}

}  // namespace tally::tracker
