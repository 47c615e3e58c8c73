#pragma once
#include <cstdint>
#include <string>
#include <string_view>

/// PostgreSQL's binary format: big-endian numbers, types by their fixed object ids.
namespace tally::db::detail {

constexpr unsigned kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25, kFloat8 = 701,
                   kVarchar = 1043, kNumeric = 1700;
constexpr unsigned kUuid = 2950, kTimestamptz = 1184, kJsonb = 3802;
constexpr unsigned kInt4Array = 1007, kTextArray = 1009, kInt8Array = 1016, kNumericArray = 1231, kUuidArray = 2951,
                   kByteaArray = 1001, kTimestamptzArray = 1185;

/// 2000-01-01 in microseconds since 1970-01-01.
constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;

inline void put_bytes(std::string& out, const void* bytes, std::size_t size) {
  out.append(static_cast<const char*>(bytes), size);
}

inline void put32(std::string& out, std::uint32_t value) {
  value = __builtin_bswap32(value);
  put_bytes(out, &value, sizeof value);
}

inline void put64(std::string& out, std::uint64_t value) {
  value = __builtin_bswap64(value);
  put_bytes(out, &value, sizeof value);
}

/// Big-endian, 1 to 8 bytes, sign extended.
inline std::int64_t get_int(std::string_view bytes) {
  if (bytes.empty()) return 0;
  std::int64_t value = static_cast<signed char>(bytes[0]);
  for (char byte : bytes.substr(1)) value = value * 256 + static_cast<unsigned char>(byte);
  return value;
}

}  // namespace tally::db::detail
