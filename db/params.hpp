#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/batch.hpp"
#include "tracker/uuid.hpp"

namespace tally::db {

/// Parameters of one statement in PostgreSQL's binary format (numbers wider than 64 bits as text), in the order added.
class Params {
 public:
  Params& uuid(const tracker::Uuid& value);
  Params& int4(std::int32_t value);
  Params& int8(std::int64_t value);
  Params& boolean(bool value);
  Params& float8(double value);
  Params& text(std::string_view value);
  /// In PostgreSQL's text format, of the type that the statement gives it (`$1::uuid`).
  Params& literal(std::string_view value);
  Params& jsonb(std::string_view json);
  Params& bytea(std::span<const std::uint8_t> value);
  Params& numeric(tracker::Sum value);
  /// Microseconds since the Unix epoch.
  Params& timestamptz(std::int64_t unix_us);

  Params& uuids(std::span<const tracker::Uuid> values);
  Params& int4s(std::span<const std::int32_t> values);
  Params& int8s(std::span<const std::int64_t> values);
  Params& texts(std::span<const std::string> values);
  Params& numerics(std::span<const tracker::Sum> values);
  Params& byteas(std::span<const std::string> values);
  // Arrays in which nothing (std::nullopt) is NULL.
  Params& uuids(std::span<const std::optional<tracker::Uuid>> values);
  Params& int8s(std::span<const std::optional<std::int64_t>> values);
  Params& timestamptzs(std::span<const std::optional<std::int64_t>> values);
  Params& texts(std::span<const std::optional<std::string_view>> values);
  Params& byteas(std::span<const std::optional<std::string>> values);

  Params& null_uuid();
  Params& null_int8();
  Params& null_text();
  Params& null_timestamptz();

  int size() const { return static_cast<int>(types_.size()); }
  const unsigned* types() const { return types_.data(); }
  const int* lengths() const { return lengths_.data(); }
  const int* formats() const { return formats_.data(); }
  /// Valid until the next change.
  std::vector<const char*> values() const;

 private:
  template <class Write>
  Params& add(unsigned type, int format, Write write);
  Params& add_null(unsigned type);

  std::string bytes_;
  std::vector<std::size_t> starts_;  ///< npos: null
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<unsigned> types_;
};

}  // namespace tally::db
