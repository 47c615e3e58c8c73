#include "tracker/record.hpp"

#include <bit>
#include <cstring>

namespace tally::tracker {
namespace {

static_assert(std::endian::native == std::endian::little, "the journal's format is little-endian");

template <class Word>
void put_word(std::string& out, Word word) {
  out.append(reinterpret_cast<const char*>(&word), sizeof word);
}

void put_increment(std::string& out, const Increment& increment) {
  char buffer[16 + 16 + 10 + 10];
  std::memcpy(buffer, increment.workspace.bytes.data(), 16);
  std::memcpy(buffer + 16, increment.owner.bytes.data(), 16);
  char* at = buffer + 32;
  for (std::uint64_t number : {increment.allowed, increment.denied}) {
    while (number >= 0x80) {
      *at++ = static_cast<char>(number | 0x80);
      number >>= 7;
    }
    *at++ = static_cast<char>(number);
  }
  out.append(buffer, static_cast<std::size_t>(at - buffer));
}

template <class Word>
bool take_word(std::span<const std::byte> bytes, std::size_t& at, Word& out) noexcept {
  if (bytes.size() - at < sizeof out) return false;
  std::memcpy(&out, bytes.data() + at, sizeof out);
  at += sizeof out;
  return true;
}

bool take_varint(std::span<const std::byte> bytes, std::size_t& at, std::uint64_t& out) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(bytes[at++]);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      out = value;
      return true;
    }
  }
  return false;
}

}  // namespace

void BoundaryEncoder::begin() {
  start_ = out_.size();
  count_ = 0;
  put_word(out_, count_);
}

void BoundaryEncoder::add(const Increment& increment) {
  put_increment(out_, increment);
  ++count_;
}

void BoundaryEncoder::finish() { std::memcpy(out_.data() + start_, &count_, sizeof count_); }

KeyedEncoder::KeyedEncoder(std::string& out) : out_(out), start_(out.size()) { put_word(out_, effects_); }

void KeyedEncoder::begin_effect(const Uuid& key, std::uint64_t body) {
  end_effect();
  out_.append(reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size());
  put_word(out_, body);
  effect_count_at_ = out_.size();
  count_ = 0;
  put_word(out_, count_);
  ++effects_;
}

void KeyedEncoder::add(const Increment& increment) {
  put_increment(out_, increment);
  ++count_;
}

void KeyedEncoder::end_effect() {
  if (effects_ > 0) std::memcpy(out_.data() + effect_count_at_, &count_, sizeof count_);
}

void KeyedEncoder::finish() {
  end_effect();
  std::memcpy(out_.data() + start_, &effects_, sizeof effects_);
}

bool decode_uuid(std::span<const std::byte> bytes, std::size_t& at, Uuid& out) noexcept {
  if (bytes.size() - at < 16) return false;
  std::memcpy(out.bytes.data(), bytes.data() + at, 16);
  at += 16;
  return true;
}

bool decode_u32(std::span<const std::byte> bytes, std::size_t& at, std::uint32_t& out) noexcept {
  return take_word(bytes, at, out);
}

bool decode_u64(std::span<const std::byte> bytes, std::size_t& at, std::uint64_t& out) noexcept {
  return take_word(bytes, at, out);
}

bool decode_increment(std::span<const std::byte> bytes, std::size_t& at, Increment& out) noexcept {
  return decode_uuid(bytes, at, out.workspace) && decode_uuid(bytes, at, out.owner) &&
         take_varint(bytes, at, out.allowed) && take_varint(bytes, at, out.denied);
}

}  // namespace tally::tracker
