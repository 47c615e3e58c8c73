#pragma once
#include <cstddef>
#include <cstring>
#include <memory>

namespace tally::http::detail {

/// Bytes that are not cleared before use and keep their place until they have to grow.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t capacity) : bytes_(new char[capacity]), capacity_(capacity) {}

  char* data() const noexcept { return bytes_.get(); }
  std::size_t capacity() const noexcept { return capacity_; }

  /// Makes room for `capacity` bytes and keeps the first `used`.
  void grow(std::size_t capacity, std::size_t used) {
    if (capacity <= capacity_) return;
    std::unique_ptr<char[]> larger(new char[capacity]);
    if (used > 0) std::memcpy(larger.get(), bytes_.get(), used);
    bytes_ = std::move(larger);
    capacity_ = capacity;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
};

}  // namespace tally::http::detail
