#pragma once
#include <cstddef>
#include <cstdint>

namespace tally::http::detail {

/// Decodes a chunked body in place: what it leaves is a prefix of what it was given. Extensions and trailers are
/// checked for form, limited in size and thrown away.
class ChunkDecoder {
 public:
  enum class State : std::uint8_t { more, done, malformed, too_large };

  ChunkDecoder() = default;
  /// `limit`: of the decoded body, in bytes.
  explicit ChunkDecoder(std::size_t limit) noexcept : limit_(limit) {}

  /// Takes `size` raw bytes that were put at `data + decoded()`; on return `decoded()` has grown by what was in them.
  /// `taken` of the raw bytes belonged to this body: all of them unless it is done.
  State feed(char* data, std::size_t size, std::size_t& taken) noexcept;

  std::size_t decoded() const noexcept { return decoded_; }

 private:
  enum class At : std::uint8_t {
    size_start,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer,
    trailer_lf,
    last_lf
  };
  static constexpr std::size_t kMostFraming = 16 * 1024;  ///< bytes of extensions and trailers in one body

  State step(char c) noexcept;
  State size_digit(char c) noexcept;
  /// Text of an extension or a trailer, until a carriage return leads to `next`.
  State framing_text(char c, At next) noexcept;

  std::size_t limit_ = 0;
  std::size_t decoded_ = 0;
  std::size_t framing_ = 0;
  std::uint64_t left_ = 0;  ///< of the current chunk
  std::uint8_t digits_ = 0;
  At at_ = At::size_start;
};

}  // namespace tally::http::detail
