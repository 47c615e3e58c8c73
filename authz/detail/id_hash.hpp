#pragma once
// A decision hashes at most two ids: a call into the library would cost more than the hash.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace tally::authz::detail {

inline std::uint64_t id_hash(std::string_view id) noexcept {
  return XXH3_64bits(id.data(), id.size());
}

inline std::uint64_t eight_bytes(const char* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Exact comparison of texts; those as long as a uuid, which is nearly all of them, without a call or a branch.
inline bool same_id(std::string_view a, std::string_view b) noexcept {
  constexpr std::size_t kUuid = 36;
  if (a.size() != b.size()) return false;
  if (a.size() != kUuid) return a == b;
  const char* const x = a.data();
  const char* const y = b.data();
  std::uint64_t differences = 0;
  for (const std::size_t at : {0, 8, 16, 24, 28}) differences |= eight_bytes(x + at) ^ eight_bytes(y + at);
  return differences == 0;
}

struct TextHash {
  using is_transparent = void;
  using is_avalanching = void;
  std::size_t operator()(std::string_view text) const noexcept { return id_hash(text); }
};

struct SameText {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const noexcept { return same_id(a, b); }
};

}  // namespace tally::authz::detail
