#include "tracker/usage.hpp"

#include <cstring>

namespace tally::tracker {
namespace {

// Bits of the byte before each event; part of the journal's format.
constexpr std::uint8_t kKnown = 1;
constexpr std::uint8_t kCreated = 2;

template <class Word>
void put_word(std::string& out, const Word& word) {
  out.append(reinterpret_cast<const char*>(&word), sizeof word);
}

void put_text(std::string& out, const std::string& text) {
  put_word(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

bool take_text(std::span<const std::byte> bytes, std::size_t& at, std::string& out) {
  std::uint32_t size = 0;
  if (!decode_u32(bytes, at, size) || bytes.size() - at < size) return false;
  out.assign(reinterpret_cast<const char*>(bytes.data()) + at, size);
  at += size;
  return true;
}

}  // namespace

UsageEncoder::UsageEncoder(std::string& out) : out_(out), start_(out.size()) {
  put_word(out_, count_);
}

void UsageEncoder::add(const UsageEvent& event) {
  ++count_;
  out_ += static_cast<char>((event.known ? kKnown : 0) | (event.created_us ? kCreated : 0));
  if (event.created_us) put_word(out_, *event.created_us);
  put_text(out_, event.id);
  put_text(out_, event.type);
  put_text(out_, event.data);
}

void UsageEncoder::finish() {
  std::memcpy(out_.data() + start_, &count_, sizeof count_);
}

bool detail::decode_usage_event(std::span<const std::byte> bytes, std::size_t& at, UsageEvent& out) {
  if (at == bytes.size()) return false;
  const auto parts = static_cast<std::uint8_t>(bytes[at++]);
  if (parts > (kKnown | kCreated)) return false;
  out.known = (parts & kKnown) != 0;
  if ((parts & kCreated) != 0) {
    std::uint64_t time = 0;
    if (!decode_u64(bytes, at, time)) return false;
    out.created_us = static_cast<std::int64_t>(time);
  }
  return take_text(bytes, at, out.id) && take_text(bytes, at, out.type) && take_text(bytes, at, out.data);
}

}  // namespace tally::tracker
