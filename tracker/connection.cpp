#include "tracker/connection.hpp"

#include <algorithm>
#include <tuple>

#include "tracker/rules.hpp"

namespace tally::tracker {
namespace {

template <class T>
std::optional<T> least(const std::optional<T>& a, const std::optional<T>& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

template <class T>
std::optional<T> greatest(const std::optional<T>& a, const std::optional<T>& b) {
  return std::max(a, b);  // nothing is less than anything
}

bool ends_later(const ConnectionEnd& a, const ConnectionEnd& b) {
  const auto rank = [](const ConnectionEnd& end) {
    return std::make_tuple(end.time_us, end.code.has_value(), end.reason.has_value(), end.hash);
  };
  return rank(a) > rank(b);
}

template <class T>
void keep_earlier(std::optional<Said<T>>& mine, std::optional<Said<T>>&& other) {
  if (other && (!mine || (other->by < mine->by && holds("S10.said")))) mine = std::move(other);
}

template <class T>
std::optional<Said<T>> said(std::optional<T>&& value, const EventRank& by) {
  if (!value) return std::nullopt;
  return Said<T>{std::move(*value), by};
}

// What of an event is there; part of the journal's format.
enum Part : std::uint8_t {
  kConnection = 1,
  kIp = 2,
  kUserAgent = 4,
  kUser = 8,
  kSlugOrPort = 16,
  kCode = 32,
  kReason = 64,
  kAll = 127,
};

template <class Word>
void put_word(std::string& out, const Word& word) {
  out.append(reinterpret_cast<const char*>(&word), sizeof word);
}

void put_text(std::string& out, const std::string& text) {
  put_word(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

bool take_byte(std::span<const std::byte> bytes, std::size_t& at, std::uint8_t& out) {
  if (at == bytes.size()) return false;
  out = static_cast<std::uint8_t>(bytes[at++]);
  return true;
}

bool take_text(std::span<const std::byte> bytes, std::size_t& at, std::string& out) {
  std::uint32_t size = 0;
  if (!decode_u32(bytes, at, size) || bytes.size() - at < size) return false;
  out.assign(reinterpret_cast<const char*>(bytes.data() + at), size);
  at += size;
  return true;
}

bool take_number(std::span<const std::byte> bytes, std::size_t& at, std::int64_t& out) {
  std::uint64_t word = 0;
  if (!decode_u64(bytes, at, word)) return false;
  out = static_cast<std::int64_t>(word);
  return true;
}

template <class T, class Take>
bool take_if(bool there, std::optional<T>& out, Take take) {
  return !there || take(out.emplace());
}

}  // namespace

std::array<std::uint8_t, EventRank::kBytes> EventRank::to_bytes() const {
  std::array<std::uint8_t, kBytes> bytes;
  const std::uint64_t time = static_cast<std::uint64_t>(time_us) ^ (1ULL << 63);  // negative ones first
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(time >> (56 - 8 * i));
  bytes[8] = static_cast<std::uint8_t>(status);
  std::copy(hash.bytes.begin(), hash.bytes.end(), bytes.begin() + 9);
  return bytes;
}

void mark_entry(Uuid& entry, const Uuid& connection) noexcept {
  // Spread out also where ids only count up, or begin with the time.
  const auto& id = connection.bytes;
  for (std::size_t i = 0; i < 4; ++i) entry.bytes[i] = id[i] ^ id[4 + i] ^ id[8 + i] ^ id[12 + i];
}

std::pair<Uuid, Uuid> entries_of(const Uuid& connection) noexcept {
  Uuid first, last;
  last.bytes.fill(0xff);
  mark_entry(first, connection);
  mark_entry(last, connection);
  return {first, last};
}

bool ConnectionEntry::ongoing() const {
  return connection && (!end || (last_connect_us && *last_connect_us > end->time_us));
}

ConnectionEntry to_entry(ConnectionEvent event) {
  ConnectionEntry entry;
  entry.entry = event.entry;
  entry.id = event.id;
  entry.organization = event.organization;
  entry.workspace = event.workspace;
  entry.connection = event.connection;
  entry.first = {event.time_us, event.status, event.hash};
  entry.owner = event.owner;
  entry.workspace_name = std::move(event.workspace_name);
  entry.agent_name = std::move(event.agent_name);
  entry.type = std::move(event.type);
  const bool point = !event.connection;
  if (point || event.status == ConnectionStatus::connected)
    entry.first_connect_us = entry.last_connect_us = event.time_us;
  if (point || event.status == ConnectionStatus::disconnected) {
    entry.end = ConnectionEnd{event.time_us, event.code, std::move(event.reason), event.hash};
  } else {
    entry.connect_code = said(std::move(event.code), entry.first);
    entry.connect_reason = said(std::move(event.reason), entry.first);
  }
  entry.ip = said(std::move(event.ip), entry.first);
  entry.user_agent = said(std::move(event.user_agent), entry.first);
  entry.user = said(std::move(event.user), entry.first);
  entry.slug_or_port = said(std::move(event.slug_or_port), entry.first);
  return entry;
}

void join(ConnectionEntry& whole, ConnectionEntry&& part) {
  if (part.first < whole.first && holds("S10.first")) {
    whole.first = part.first;
    whole.owner = part.owner;
    whole.workspace_name = std::move(part.workspace_name);
    whole.agent_name = std::move(part.agent_name);
    whole.type = std::move(part.type);
  }
  if (!whole.first_connect_us || holds("S10.connect"))
    whole.first_connect_us = least(whole.first_connect_us, part.first_connect_us);
  whole.last_connect_us = greatest(whole.last_connect_us, part.last_connect_us);
  if (part.end && (!whole.end || ends_later(*part.end, *whole.end) || !holds("S10.end")))
    whole.end = std::move(part.end);
  keep_earlier(whole.ip, std::move(part.ip));
  keep_earlier(whole.user_agent, std::move(part.user_agent));
  keep_earlier(whole.user, std::move(part.user));
  keep_earlier(whole.slug_or_port, std::move(part.slug_or_port));
  keep_earlier(whole.connect_code, std::move(part.connect_code));
  keep_earlier(whole.connect_reason, std::move(part.connect_reason));
}

void append_canonical(std::string& out, const ConnectionEvent& event) {
  put_word(out, event.time_us);
  out += static_cast<char>(event.status);
  put_word(out, event.organization.bytes);
  put_word(out, event.owner.bytes);
  put_word(out, event.workspace.bytes);
  put_text(out, event.workspace_name);
  put_text(out, event.agent_name);
  put_text(out, event.type);
  out += static_cast<char>((event.connection ? kConnection : 0) | (event.ip ? kIp : 0) |
                           (event.user_agent ? kUserAgent : 0) | (event.user ? kUser : 0) |
                           (event.slug_or_port ? kSlugOrPort : 0) | (event.code ? kCode : 0) |
                           (event.reason ? kReason : 0));
  if (event.connection) put_word(out, event.connection->bytes);
  if (event.ip) put_text(out, *event.ip);
  if (event.user_agent) put_text(out, *event.user_agent);
  if (event.user) put_word(out, event.user->bytes);
  if (event.slug_or_port) put_text(out, *event.slug_or_port);
  if (event.code) put_word(out, *event.code);
  if (event.reason) put_text(out, *event.reason);
}

ConnectionEncoder::ConnectionEncoder(std::string& out) : out_(out), start_(out.size()) {
  put_word(out_, groups_);
}

void ConnectionEncoder::begin_group(bool keyed) {
  end_group();
  ++groups_;
  out_ += static_cast<char>(keyed);
}

void ConnectionEncoder::begin_effect(const Uuid& key, std::uint64_t body) {
  begin_group(true);
  put_word(out_, key.bytes);
  put_word(out_, body);
  count_at_ = out_.size();
  put_word(out_, count_);
}

void ConnectionEncoder::add(const ConnectionEvent& event) {
  if (groups_ == 0) {
    begin_group(false);
    count_at_ = out_.size();
    put_word(out_, count_);
  }
  ++count_;
  put_word(out_, event.entry.bytes);
  put_word(out_, event.id.bytes);
  put_word(out_, event.hash.bytes);
  append_canonical(out_, event);
}

void ConnectionEncoder::end_group() {
  if (groups_ > 0) std::memcpy(out_.data() + count_at_, &count_, sizeof count_);
  count_ = 0;
}

void ConnectionEncoder::finish() {
  end_group();
  std::memcpy(out_.data() + start_, &groups_, sizeof groups_);
}

bool has_keys(std::span<const std::byte> connections) noexcept {
  return connections.size() > sizeof(std::uint32_t) && connections[sizeof(std::uint32_t)] != std::byte{0};
}

bool detail::decode_group(std::span<const std::byte> bytes, std::size_t& at, ConnectionGroup& out) {
  std::uint8_t keyed = 0;
  if (!take_byte(bytes, at, keyed) || keyed > 1) return false;
  if (keyed == 1) {
    GroupKey& key = out.key.emplace();
    if (!decode_uuid(bytes, at, key.key) || !decode_u64(bytes, at, key.body)) return false;
  }
  return decode_u32(bytes, at, out.count);
}

bool detail::decode_event(std::span<const std::byte> bytes, std::size_t& at, ConnectionEvent& out) {
  std::uint8_t status = 0;
  std::uint8_t parts = 0;
  const auto text = [&](std::string& to) { return take_text(bytes, at, to); };
  const auto uuid = [&](Uuid& to) { return decode_uuid(bytes, at, to); };
  const auto number = [&](std::int64_t& to) { return take_number(bytes, at, to); };
  if (!uuid(out.entry) || !uuid(out.id) || !uuid(out.hash) || !number(out.time_us) || !take_byte(bytes, at, status) ||
      status > 1 || !uuid(out.organization) || !uuid(out.owner) || !uuid(out.workspace) || !text(out.workspace_name) ||
      !text(out.agent_name) || !text(out.type) || !take_byte(bytes, at, parts) || parts > kAll)
    return false;
  out.status = static_cast<ConnectionStatus>(status);
  const auto there = [&](Part part) { return (parts & part) != 0; };
  return take_if(there(kConnection), out.connection, uuid) && take_if(there(kIp), out.ip, text) &&
         take_if(there(kUserAgent), out.user_agent, text) && take_if(there(kUser), out.user, uuid) &&
         take_if(there(kSlugOrPort), out.slug_or_port, text) && take_if(there(kCode), out.code, number) &&
         take_if(there(kReason), out.reason, text);
}

}  // namespace tally::tracker
