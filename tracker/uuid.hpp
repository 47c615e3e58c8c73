#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace tally::tracker {

/// 128-bit identifier (RFC 9562); the variant and version bits are not interpreted. A plain value.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  /// In two words: left to itself the compiler calls memcmp, which cost more than the look-up around it.
  friend bool operator==(const Uuid& a, const Uuid& b) noexcept {
    return ((a.high() ^ b.high()) | (a.low() ^ b.low())) == 0;
  }

  /// Canonical 8-4-4-4-12 text of 36 characters, any letter case. Anything else (braces, URN, no dashes): nothing.
  static std::optional<Uuid> parse(std::string_view text) noexcept;

  /// Version 4 from the kernel's random source.
  static Uuid random();

  /// Writes the 36 lower-case characters, without a terminator.
  void format_to(char* out) const noexcept;
  std::string to_string() const;

  bool is_nil() const noexcept { return (high() | low()) == 0; }
  std::uint64_t high() const noexcept { return load(0); }
  std::uint64_t low() const noexcept { return load(8); }

 private:
  std::uint64_t load(std::size_t at) const noexcept {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    return word;
  }
};

}  // namespace tally::tracker
