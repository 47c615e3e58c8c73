#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/uuid.hpp"

struct pg_result;

namespace tally::db {

/// One result in binary format. Getters check the column's type and throw `std::logic_error` on a mismatch or an
/// unexpected NULL: that is a mistake in our SQL, never in the data.
class Rows {
 public:
  Rows() = default;
  explicit Rows(pg_result* result);

  int size() const;
  bool empty() const { return size() == 0; }
  /// Rows inserted, updated or deleted.
  std::int64_t affected() const;

  bool is_null(int row, int column) const;
  std::int64_t integer(int row, int column) const;
  bool boolean(int row, int column) const;
  std::string_view text(int row, int column) const;  ///< text, varchar or bytea; lives as long as the rows
  tracker::Uuid uuid(int row, int column) const;
  std::int64_t timestamp_us(int row, int column) const;           ///< microseconds since the Unix epoch
  std::vector<std::int64_t> integers(int row, int column) const;  ///< int4[] or int8[]
  std::vector<std::string> texts(int row, int column) const;
  std::vector<tracker::Uuid> uuids(int row, int column) const;

  std::optional<std::int64_t> maybe_integer(int row, int column) const;
  std::optional<std::int64_t> maybe_timestamp_us(int row, int column) const;
  std::optional<tracker::Uuid> maybe_uuid(int row, int column) const;
  std::optional<std::string> maybe_text(int row, int column) const;

 private:
  struct Clear {
    void operator()(pg_result* result) const noexcept;
  };
  std::string_view field(int row, int column) const;
  std::unique_ptr<pg_result, Clear> result_;
};

}  // namespace tally::db
