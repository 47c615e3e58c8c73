#include "tracker/record.hpp"

#include <algorithm>
#include <bit>

namespace tally::tracker {
namespace {

static_assert(std::endian::native == std::endian::little, "the journal's format is little-endian");

template <class Word>
bool take_word(std::span<const std::byte> bytes, std::size_t& at, Word& out) noexcept {
  if (bytes.size() - at < sizeof out) return false;
  std::memcpy(&out, bytes.data() + at, sizeof out);
  at += sizeof out;
  return true;
}

}  // namespace

namespace detail {

PayloadWriter::PayloadWriter(std::string& out, std::size_t expected_bytes) : out_(out) {
  const std::size_t start = out.size();
  // Room for one increment behind the expected ones keeps the last from growing the string.
  out.resize(start + std::max(expected_bytes, kLargestIncrementBytes) + kLargestIncrementBytes);
  at_ = out.data() + start;
  end_ = out.data() + out.size();
}

void PayloadWriter::grow() {
  const std::size_t used = size();
  out_.resize(out_.size() * 2);
  at_ = out_.data() + used;
  end_ = out_.data() + out_.size();
}

void PayloadWriter::finish() {
  out_.resize(size());
  end_ = at_;
}

}  // namespace detail

BoundaryEncoder::BoundaryEncoder(std::string& out, std::size_t expected_bytes)
    : writer_(out, expected_bytes), start_(writer_.size()) {
  writer_.put_word(count_);
}

void BoundaryEncoder::finish() {
  writer_.overwrite(start_, count_);
  writer_.finish();
}

KeyedEncoder::KeyedEncoder(std::string& out, std::size_t expected_bytes)
    : writer_(out, expected_bytes), start_(writer_.size()) {
  writer_.put_word(effects_);
}

void KeyedEncoder::begin_effect(const Uuid& key, std::uint64_t body) {
  end_effect();
  writer_.put_word(key.bytes);
  writer_.put_word(body);
  effect_count_at_ = writer_.size();
  count_ = 0;
  writer_.put_word(count_);
  ++effects_;
}

void KeyedEncoder::end_effect() {
  if (effects_ > 0) writer_.overwrite(effect_count_at_, count_);
}

void KeyedEncoder::finish() {
  end_effect();
  writer_.overwrite(start_, effects_);
  writer_.finish();
}

bool decode_uuid(std::span<const std::byte> bytes, std::size_t& at, Uuid& out) noexcept {
  return take_word(bytes, at, out.bytes);
}

bool decode_u32(std::span<const std::byte> bytes, std::size_t& at, std::uint32_t& out) noexcept {
  return take_word(bytes, at, out);
}

bool decode_u64(std::span<const std::byte> bytes, std::size_t& at, std::uint64_t& out) noexcept {
  return take_word(bytes, at, out);
}

}  // namespace tally::tracker
