#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace tally::journal::detail {

/// CRC-32C (Castagnoli), continued from `crc` (0 at the start): crc32c(a + b) = crc32c(b, crc32c(a)).
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

/// The two ways behind it, for tests. The hardware one needs SSE 4.2.
std::uint32_t crc32c_software(std::span<const std::byte> bytes, std::uint32_t crc) noexcept;
std::uint32_t crc32c_hardware(std::span<const std::byte> bytes, std::uint32_t crc) noexcept;
bool has_crc32c_hardware() noexcept;

}  // namespace tally::journal::detail
