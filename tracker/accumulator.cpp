#include "tracker/accumulator.hpp"

#include <algorithm>

#include "tracker/rules.hpp"

namespace tally::tracker {
namespace {

// More seconds than this in one batch are merged in pairs: the figure they feed is for information only.
constexpr std::size_t kMaxAppendedSpans = 512;

void halve(std::vector<AppendedAt>& spans) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < spans.size(); i += 2) {
    spans[kept] = spans[i];
    if (i + 1 < spans.size()) spans[kept].increments += spans[i + 1].increments;
    ++kept;
  }
  spans.resize(kept);
}

void add_span(std::vector<AppendedAt>& spans, AppendedAt span) {
  if (span.increments == 0) return;
  if (!spans.empty() && spans.back().at_unix_seconds == span.at_unix_seconds) {
    spans.back().increments += span.increments;
    return;
  }
  if (spans.size() >= kMaxAppendedSpans) halve(spans);
  spans.push_back(span);
}

using IndexOf = boost::unordered_flat_map<Uuid, std::uint32_t, UuidHash>;

void put(std::vector<ConnectionEntry>& entries, IndexOf& index_of, ConnectionEntry&& entry) {
  const auto [known, fresh] = index_of.try_emplace(entry.entry, static_cast<std::uint32_t>(entries.size()));
  if (fresh || !holds("S10.batch"))
    entries.push_back(std::move(entry));
  else
    join(entries[known->second], std::move(entry));
}

void put_all(std::vector<ConnectionEntry>& whole, std::vector<ConnectionEntry>&& part) {
  if (whole.empty()) {
    whole = std::move(part);
    return;
  }
  if (part.empty()) return;
  IndexOf index_of;
  for (std::uint32_t i = 0; i < whole.size(); ++i) index_of.emplace(whole[i].entry, i);
  for (ConnectionEntry& entry : part) put(whole, index_of, std::move(entry));
}

void make_distinct(std::vector<Uuid>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

/// The first of each id stays: the order in which they came.
void make_distinct(std::vector<UsageEvent>& events) {
  if (events.size() < 2) return;
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  const auto same = [](const auto& a, const auto& b) { return a.id == b.id; };
  events.erase(std::unique(events.begin(), events.end(), same), events.end());
}

}  // namespace

Accumulator::Added Accumulator::add(RecordType type, std::span<const std::byte> payload, WallTime appended_at) {
  switch (type) {
    case RecordType::boundary:
      return add_boundary(payload, appended_at);
    case RecordType::boundary_keyed:
      return add_keyed(payload, appended_at);
    case RecordType::registered:
      return Added::yes;
    case RecordType::connection:
      return add_connections(payload);
    case RecordType::usage:
      return add_usage(payload);
  }
  return Added::malformed;
}

Accumulator::Added Accumulator::add_boundary(std::span<const std::byte> payload, WallTime appended_at) {
  std::size_t at = 0;
  std::uint32_t count = 0;
  if (!decode_u32(payload, at, count)) return Added::malformed;
  const std::size_t seen = seen_workspaces_.size() + seen_users_.size();
  if (seen > 0 && seen + 2 * std::size_t{count} > limits_.ids) return Added::full;
  touched_ = true;

  Sum allowed = 0;
  Sum denied = 0;
  for (std::uint32_t done = 0; done < count;) {
    const std::size_t group = std::min<std::size_t>(kAhead, count - done);
    std::uint64_t group_allowed = 0;  // of 32 counts of 53 bits at most
    std::uint64_t group_denied = 0;
    for (std::size_t i = 0; i < group; ++i) {
      Ahead& ahead = ahead_[i];
      if (!decode_increment(payload, at, ahead.increment)) return Added::malformed;
      ahead.workspace_hash = seen_workspaces_.hash(ahead.increment.workspace);
      ahead.user_hash = seen_users_.hash(ahead.increment.owner);
      seen_workspaces_.prefetch(ahead.workspace_hash);
      seen_users_.prefetch(ahead.user_hash);
    }
    for (std::size_t i = 0; i < group; ++i) {
      const Ahead& ahead = ahead_[i];
      const Increment& increment = ahead.increment;
      group_allowed += increment.allowed;
      group_denied += increment.denied;
      if (seen_workspaces_.insert(increment.workspace, ahead.workspace_hash))
        content_.workspaces.push_back(increment.workspace);
      if (seen_users_.insert(increment.owner, ahead.user_hash)) content_.users.push_back(increment.owner);
    }
    allowed += group_allowed;
    denied += group_denied;
    done += static_cast<std::uint32_t>(group);
  }
  if (at != payload.size()) return Added::malformed;
  content_.allowed += allowed;
  content_.denied += denied;
  note_appended(appended_at, count);
  return Added::yes;
}

Accumulator::Added Accumulator::add_keyed(std::span<const std::byte> payload, WallTime appended_at) {
  std::size_t at = 0;
  std::uint32_t effects = 0;
  if (!decode_u32(payload, at, effects)) return Added::malformed;
  if (!content_.effects.empty() && content_.effects.size() + effects > limits_.effects) return Added::full;
  if (effect_ids_ > limits_.effect_ids) return Added::full;
  touched_ = true;

  std::uint64_t increments = 0;
  for (std::uint32_t n = 0; n < effects; ++n) {
    KeyedEffect effect;
    std::uint32_t count = 0;
    if (!decode_uuid(payload, at, effect.key) || !decode_u64(payload, at, effect.body) ||
        !decode_u32(payload, at, count))
      return Added::malformed;
    effect.increments = count;
    increments += count;
    Increment increment;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!decode_increment(payload, at, increment)) return Added::malformed;
      effect.allowed += increment.allowed;
      effect.denied += increment.denied;
      effect.workspaces.push_back(increment.workspace);
      effect.users.push_back(increment.owner);
    }
    if (!holds("S9.effect-ids"))  // take them for sent because a keyed effect carries them
      for (std::size_t i = 0; i < effect.workspaces.size(); ++i) {
        seen_workspaces_.insert(effect.workspaces[i]);
        seen_users_.insert(effect.users[i]);
      }
    make_distinct(effect.workspaces);
    make_distinct(effect.users);

    if (KeyedEffect* fresh = begin_effect({effect.key, effect.body})) {
      effect_ids_ += effect.workspaces.size() + effect.users.size();
      *fresh = std::move(effect);
    } else {
      content_.repeat_allowed += effect.allowed;
      content_.repeat_denied += effect.denied;
      content_.repeat_increments += effect.increments;
    }
  }
  if (at != payload.size()) return Added::malformed;
  note_appended(appended_at, increments);
  return Added::yes;
}

/// Null: the key is there already.
KeyedEffect* Accumulator::begin_effect(const GroupKey& key) {
  const auto [known, fresh] = effect_of_key_.try_emplace(key.key, static_cast<std::uint32_t>(content_.effects.size()));
  if (!fresh && holds("S9.merge")) {
    if (content_.effects[known->second].body != key.body) ++content_.repeat_conflicts;
    return nullptr;
  }
  KeyedEffect& effect = content_.effects.emplace_back();
  effect.key = key.key;
  effect.body = key.body;
  return &effect;
}

/// Whether the bounds let this record in. An empty accumulator takes any: a request is bounded by itself.
bool Accumulator::has_room(std::span<const std::byte> connections) const {
  std::size_t at = 0;
  std::uint32_t groups = 0;
  const bool keyed = has_keys(connections) && decode_u32(connections, at, groups);
  if (keyed && !content_.effects.empty() && content_.effects.size() + groups > limits_.effects) return false;
  return connection_bytes_ == 0 || connection_bytes_ + connections.size() <= limits_.connection_bytes;
}

Accumulator::Added Accumulator::add_connections(std::span<const std::byte> payload) {
  if (!has_room(payload)) return Added::full;
  touched_ = true;
  connection_bytes_ += payload.size();
  enum class Into { batch, effect, nowhere } into = Into::batch;
  boost::unordered_flat_map<Uuid, std::uint32_t, UuidHash> within_effect;
  const bool readable = for_each_connection(
      payload,
      [&](const std::optional<GroupKey>& key, std::uint32_t) {
        within_effect.clear();
        into = !key ? Into::batch : begin_effect(*key) != nullptr ? Into::effect : Into::nowhere;
      },
      [&](ConnectionEvent& event) {
        ++content_.connection_events;
        if (into == Into::nowhere) return;  // a repeat of a key: counted, and not applied
        const bool keyed = into == Into::effect;
        put(keyed ? content_.effects.back().connections : content_.connections,
            keyed ? within_effect : connection_of_entry_, to_entry(std::move(event)));
      });
  return readable ? Added::yes : Added::malformed;
}

/// Repeats of an id inside a batch are left for `take`: they are few.
Accumulator::Added Accumulator::add_usage(std::span<const std::byte> payload) {
  if (usage_bytes_ > 0 &&
      (usage_bytes_ + payload.size() > limits_.usage_bytes || content_.usage.size() >= limits_.usage_events))
    return Added::full;
  touched_ = true;
  usage_bytes_ += payload.size();
  const bool readable = for_each_usage_event(payload, [&](UsageEvent& event) {
    ++content_.usage_events;
    content_.usage.push_back(std::move(event));
  });
  return readable ? Added::yes : Added::malformed;
}

void Accumulator::note_appended(WallTime at, std::uint64_t increments) {
  content_.increments += increments;
  add_span(content_.appended, {std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count(), increments});
}

FlushBatch Accumulator::take() {
  make_distinct(content_.usage);
  FlushBatch taken = std::move(content_);
  content_ = {};
  effect_of_key_.clear();
  connection_of_entry_.clear();
  effect_ids_ = 0;
  connection_bytes_ = 0;
  usage_bytes_ = 0;
  touched_ = false;
  return taken;
}

void Accumulator::begin_epoch() {
  take();
  seen_workspaces_.clear();
  seen_users_.clear();
}

std::size_t Accumulator::memory_bytes() const noexcept {
  return seen_workspaces_.memory_bytes() + seen_users_.memory_bytes() +
         (content_.workspaces.capacity() + content_.users.capacity() + effect_ids_) * sizeof(Uuid) +
         content_.effects.capacity() * sizeof(KeyedEffect) + content_.connections.capacity() * sizeof(ConnectionEntry) +
         connection_bytes_ + content_.usage.capacity() * sizeof(UsageEvent) + usage_bytes_;
}

bool merge(FlushBatch& whole, FlushBatch&& part, std::size_t max_effects) {
  const auto fits = [&] { return whole.effects.size() <= max_effects && whole.usage.size() <= kMostUsageEvents; };
  const auto append = [](std::vector<Uuid>& to, std::vector<Uuid>& from) {
    if (to.empty())
      to = std::move(from);
    else
      to.insert(to.end(), from.begin(), from.end());
  };
  whole.allowed += part.allowed;
  whole.denied += part.denied;
  whole.repeat_allowed += part.repeat_allowed;
  whole.repeat_denied += part.repeat_denied;
  whole.repeat_increments += part.repeat_increments;
  whole.repeat_conflicts += part.repeat_conflicts;
  whole.increments += part.increments;
  whole.connection_events += part.connection_events;
  put_all(whole.connections, std::move(part.connections));
  whole.usage_events += part.usage_events;
  std::move(part.usage.begin(), part.usage.end(), std::back_inserter(whole.usage));
  make_distinct(whole.usage);
  append(whole.workspaces, part.workspaces);
  append(whole.users, part.users);

  std::vector<AppendedAt> spans;
  std::merge(whole.appended.begin(), whole.appended.end(), part.appended.begin(), part.appended.end(),
             std::back_inserter(spans),
             [](const AppendedAt& a, const AppendedAt& b) { return a.at_unix_seconds < b.at_unix_seconds; });
  whole.appended.clear();
  for (const AppendedAt& span : spans) add_span(whole.appended, span);

  if (whole.effects.empty()) {
    whole.effects = std::move(part.effects);
    return fits();
  }
  boost::unordered_flat_map<Uuid, std::uint32_t, UuidHash> known;
  for (std::uint32_t i = 0; i < whole.effects.size(); ++i) known.emplace(whole.effects[i].key, i);
  for (KeyedEffect& effect : part.effects) {
    const auto found = known.find(effect.key);
    if (found == known.end()) {
      whole.effects.push_back(std::move(effect));
      continue;
    }
    whole.repeat_allowed += effect.allowed;
    whole.repeat_denied += effect.denied;
    whole.repeat_increments += effect.increments;
    if (whole.effects[found->second].body != effect.body) ++whole.repeat_conflicts;
  }
  return fits();
}

}  // namespace tally::tracker
