#include "daemon/http/detail/inflate.hpp"

#include <algorithm>
#include <new>

namespace tally::http::detail {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

Inflate::Inflate() {
  if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
}

Inflate::~Inflate() {
  inflateEnd(&stream_);
}

Inflate::Outcome Inflate::run(std::string_view in, std::size_t limit, Buffer& out, std::size_t& size) {
  size = 0;
  if (inflateReset(&stream_) != Z_OK) return Outcome::broken;
  // zlib's interface predates const.
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream_.avail_in = static_cast<uInt>(in.size());
  // One byte more than allowed is let in, to tell "just fits" from "too large".
  const std::size_t most = limit + 1;
  out.grow(std::min(most, std::max<std::size_t>(in.size() * 4, 4096)), 0);
  for (;;) {
    const std::size_t room = std::min(out.capacity(), most) - size;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data() + size);
    stream_.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    size += room - stream_.avail_out;
    if (size > limit) return Outcome::too_large;
    if (status == Z_STREAM_END) {
      if (stream_.avail_in == 0) return Outcome::ok;
      if (inflateReset(&stream_) != Z_OK) return Outcome::broken;
      continue;
    }
    if (status != Z_OK && status != Z_BUF_ERROR) return Outcome::broken;
    if (stream_.avail_out > 0) return Outcome::broken;  // all input is used, and no end in sight
    out.grow(std::min(most, out.capacity() * 2), size);
  }
}

}  // namespace tally::http::detail
