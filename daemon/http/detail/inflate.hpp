#pragma once
#include <zlib.h>

#include <cstddef>
#include <string_view>

#include "daemon/http/detail/buffer.hpp"

namespace tally::http::detail {

/// Decodes gzip (RFC 1952), one member or several. One per http thread: its 40 KB of state are used again.
class Inflate {
 public:
  enum class Outcome { ok, broken, too_large };

  Inflate();
  ~Inflate();
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;

  /// Decodes `in` to the start of `out`, which grows to `limit` + 1 bytes at most; `size` says how many were written.
  Outcome run(std::string_view in, std::size_t limit, Buffer& out, std::size_t& size);

 private:
  z_stream stream_{};
};

}  // namespace tally::http::detail
