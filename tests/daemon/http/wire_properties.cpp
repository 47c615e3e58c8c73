#include "wire_properties.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

#include "daemon/http/detail/chunks.hpp"
#include "daemon/http/detail/head.hpp"
#include "daemon/http/detail/inflate.hpp"

namespace tally::http {
namespace {

using namespace detail;

constexpr std::size_t kBodyLimit = 4096;

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

bool check_head(std::string_view input) {
  const std::size_t end = find_head_end(input, 0);
  for (std::size_t size = 0, searched = 0; size <= input.size(); searched = size++) {
    const std::size_t found = find_head_end(input.substr(0, size), searched);
    require(found == (end != 0 && size >= end ? end : 0), "the end of a head depends on how it arrives");
    if (found != 0) break;
  }
  if (end == 0) return false;
  const auto head = std::make_unique<Head>();
  const Limits limits;
  if (parse_head(input.substr(0, end), limits, *head)) return false;
  require(!(head->chunked && head->content_length), "a body has two lengths");
  require(head->field_count <= kMostFields, "too many fields are kept");
  for (std::size_t size = 1; size < end; ++size)
    require(!check_partial(input.substr(0, size), limits), "the beginning of a good head is refused");
  return true;
}

struct Decoded {
  ChunkDecoder::State state = ChunkDecoder::State::more;
  std::string body;
  std::size_t taken = 0;
};

Decoded decode(std::string_view input, std::size_t piece) {
  ChunkDecoder decoder(kBodyLimit);
  Decoded out;
  std::string buffer(input.size(), '\0');
  for (std::size_t at = 0; at < input.size() && out.state == ChunkDecoder::State::more;) {
    const std::size_t size = std::min(piece, input.size() - at);
    std::copy_n(input.data() + at, size, buffer.data() + decoder.decoded());
    std::size_t taken = 0;
    out.state = decoder.feed(buffer.data(), size, taken);
    require(taken <= size, "more was taken than was there");
    out.taken += taken;
    at += size;
  }
  out.body = buffer.substr(0, decoder.decoded());
  return out;
}

bool check_chunks(std::string_view input) {
  const Decoded whole = decode(input, std::max<std::size_t>(input.size(), 1));
  require(whole.body.size() <= kBodyLimit, "a chunked body is larger than its limit");
  for (const std::size_t piece : {1u, 7u}) {
    const Decoded pieces = decode(input, piece);
    require(pieces.state == whole.state, "a chunked body's end depends on how it arrives");
    if (whole.state != ChunkDecoder::State::done) continue;
    require(pieces.body == whole.body && pieces.taken == whole.taken, "a chunked body depends on how it arrives");
  }
  return whole.state == ChunkDecoder::State::done;
}

bool check_gzip(std::string_view input) {
  Inflate inflate;
  Buffer out;
  std::size_t size = 0;
  const auto outcome = inflate.run(input, kBodyLimit, out, size);
  require(out.capacity() <= kBodyLimit + 1, "more room was made than the limit");
  require(outcome != Inflate::Outcome::ok || size <= kBodyLimit, "more was decoded than the limit");
  std::size_t again = 0;
  require(inflate.run(input, kBodyLimit, out, again) == outcome && (outcome != Inflate::Outcome::ok || again == size),
          "a second run differs");
  return outcome == Inflate::Outcome::ok;
}

}  // namespace

WireOutcome check_wire(std::string_view input) {
  return {check_head(input), check_chunks(input), check_gzip(input)};
}

}  // namespace tally::http
