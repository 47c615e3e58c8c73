#include "daemon/http/detail/chunks.hpp"

#include <algorithm>
#include <cstring>

namespace tally::http::detail {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool is_text(char c) noexcept {
  return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

}  // namespace

ChunkDecoder::State ChunkDecoder::feed(char* data, std::size_t size, std::size_t& taken) noexcept {
  const char* in = data + decoded_;
  const char* const start = in;
  const char* const end = in + size;
  while (in < end) {
    if (at_ == At::data) {
      const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(left_, static_cast<std::uint64_t>(end - in)));
      if (data + decoded_ != in) std::memmove(data + decoded_, in, here);
      decoded_ += here;
      left_ -= here;
      in += here;
      if (left_ == 0) at_ = At::data_cr;
      continue;
    }
    const State state = step(*in++);
    if (state != State::more) {
      taken = static_cast<std::size_t>(in - start);
      return state;
    }
  }
  taken = size;
  return State::more;
}

ChunkDecoder::State ChunkDecoder::size_digit(char c) noexcept {
  if (const int digit = hex_digit(c); digit >= 0) {
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    return ++digits_ <= 15 ? State::more : State::malformed;
  }
  if (digits_ == 0 || (c != '\r' && c != ';')) return State::malformed;
  at_ = c == '\r' ? At::size_lf : At::extension;
  return State::more;
}

ChunkDecoder::State ChunkDecoder::framing_text(char c, At next) noexcept {
  if (c == '\r') {
    at_ = next;
    return State::more;
  }
  return is_text(c) && ++framing_ <= kMostFraming ? State::more : State::malformed;
}

ChunkDecoder::State ChunkDecoder::step(char c) noexcept {
  const auto expect = [&](char wanted, At next) {
    at_ = next;
    return c == wanted ? State::more : State::malformed;
  };
  switch (at_) {
    case At::size_start:
      left_ = 0;
      digits_ = 0;
      at_ = At::size;
      [[fallthrough]];
    case At::size:
      return size_digit(c);
    case At::extension:
      return framing_text(c, At::size_lf);
    case At::size_lf:
      if (left_ > limit_ - decoded_) return State::too_large;
      return expect('\n', left_ == 0 ? At::trailer_start : At::data);
    case At::data_cr:
      return expect('\r', At::data_lf);
    case At::data_lf:
      return expect('\n', At::size_start);
    case At::trailer_start:
      if (c == '\r') return expect('\r', At::last_lf);
      if (c == ' ' || c == '\t') return State::malformed;
      at_ = At::trailer;
      [[fallthrough]];
    case At::trailer:
      return framing_text(c, At::trailer_lf);
    case At::trailer_lf:
      return expect('\n', At::trailer_start);
    case At::last_lf:
      return c == '\n' ? State::done : State::malformed;
    case At::data:
      break;  // `feed` copies it
  }
  return State::malformed;
}

}  // namespace tally::http::detail
