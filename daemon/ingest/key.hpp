#pragma once
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "daemon/ingest/request.hpp"

namespace tally::ingest {

/// 1 to 128 visible ASCII characters (0x21 to 0x7e).
bool is_idempotency_key(std::string_view key) noexcept;

/// First 16 bytes of SHA-256 over the subject's kind, its name, the route and the parts of the key, each behind its
/// length (u32, little-endian): no two lists of parts give the same bytes. Part of the data in `ingest_keys`: never
/// changed.
tracker::Uuid key_id(const KeySubject& subject, std::string_view route, std::initializer_list<std::string_view> parts);

/// First 16 bytes of SHA-256 over the parts, each behind its length as above.
tracker::Uuid hash_of(std::initializer_list<std::string_view> parts);

/// First 8 bytes of SHA-256 (little-endian): tells a repeat of a key from another use of it.
std::uint64_t body_hash(std::string_view body);

}  // namespace tally::ingest
