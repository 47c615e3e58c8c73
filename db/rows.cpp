#include "db/rows.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>

#include "db/detail/wire.hpp"

namespace tally::db {
namespace {

[[noreturn]] void wrong(const PGresult* result, int column, const char* wanted) {
  const char* name = PQfname(result, column);
  throw std::logic_error(std::string("column ") + (name ? name : "?") + " is not " + wanted);
}

void expect(bool good, const PGresult* result, int column, const char* wanted) {
  if (!good) wrong(result, column, wanted);
}

/// Hands each element of a one-dimensional array without NULLs to `sink`.
template <class Sink>
void each_element(std::string_view bytes, Sink sink) {
  const auto take = [&](std::size_t count) {
    if (bytes.size() < count) throw std::logic_error("array cut short");
    const std::string_view head = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return head;
  };
  const std::int64_t dimensions = detail::get_int(take(4));
  take(8);  // NULL flag, element type
  if (dimensions == 0) return;
  if (dimensions != 1) throw std::logic_error("array of several dimensions");
  const std::int64_t count = detail::get_int(take(4));
  take(4);  // lower bound
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t length = detail::get_int(take(4));
    if (length < 0) throw std::logic_error("NULL in an array");
    sink(take(static_cast<std::size_t>(length)));
  }
}

}  // namespace

Rows::Rows(pg_result* result) : result_(result) {}

void Rows::Clear::operator()(pg_result* result) const noexcept {
  PQclear(result);
}

int Rows::size() const {
  return result_ ? PQntuples(result_.get()) : 0;
}

std::int64_t Rows::affected() const {
  if (!result_) return 0;
  const std::string_view text = PQcmdTuples(result_.get());
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

bool Rows::is_null(int row, int column) const {
  return PQgetisnull(result_.get(), row, column) != 0;
}

std::string_view Rows::field(int row, int column) const {
  if (!result_ || row >= size() || column >= PQnfields(result_.get())) throw std::logic_error("no such row or column");
  expect(!is_null(row, column), result_.get(), column, "expected to be NULL");
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Rows::integer(int row, int column) const {
  const std::string_view bytes = field(row, column);
  const Oid type = PQftype(result_.get(), column);
  expect(type == detail::kInt8 || type == detail::kInt4 || type == detail::kInt2, result_.get(), column, "an integer");
  return detail::get_int(bytes);
}

bool Rows::boolean(int row, int column) const {
  const std::string_view bytes = field(row, column);
  expect(PQftype(result_.get(), column) == detail::kBool, result_.get(), column, "a boolean");
  return bytes[0] != 0;
}

std::string_view Rows::text(int row, int column) const {
  const std::string_view bytes = field(row, column);
  const Oid type = PQftype(result_.get(), column);
  expect(type == detail::kText || type == detail::kVarchar || type == detail::kBytea, result_.get(), column, "text");
  return bytes;
}

tracker::Uuid Rows::uuid(int row, int column) const {
  const std::string_view bytes = field(row, column);
  expect(PQftype(result_.get(), column) == detail::kUuid && bytes.size() == 16, result_.get(), column, "a uuid");
  tracker::Uuid value;
  std::memcpy(value.bytes.data(), bytes.data(), 16);
  return value;
}

std::int64_t Rows::timestamp_us(int row, int column) const {
  const std::string_view bytes = field(row, column);
  expect(PQftype(result_.get(), column) == detail::kTimestamptz, result_.get(), column, "a timestamptz");
  return detail::get_int(bytes) + detail::kPostgresEpochUs;
}

std::vector<std::int64_t> Rows::integers(int row, int column) const {
  const std::string_view bytes = field(row, column);
  const Oid type = PQftype(result_.get(), column);
  expect(type == detail::kInt8Array || type == detail::kInt4Array, result_.get(), column, "an array of integers");
  std::vector<std::int64_t> values;
  each_element(bytes, [&](std::string_view element) { values.push_back(detail::get_int(element)); });
  return values;
}

std::vector<std::string> Rows::texts(int row, int column) const {
  const std::string_view bytes = field(row, column);
  expect(PQftype(result_.get(), column) == detail::kTextArray, result_.get(), column, "an array of texts");
  std::vector<std::string> values;
  each_element(bytes, [&](std::string_view element) { values.emplace_back(element); });
  return values;
}

std::vector<tracker::Uuid> Rows::uuids(int row, int column) const {
  const std::string_view bytes = field(row, column);
  expect(PQftype(result_.get(), column) == detail::kUuidArray, result_.get(), column, "an array of uuids");
  std::vector<tracker::Uuid> values;
  each_element(bytes, [&](std::string_view element) {
    std::memcpy(values.emplace_back().bytes.data(), element.data(), std::min(element.size(), sizeof(tracker::Uuid)));
  });
  return values;
}

std::optional<std::string> Rows::maybe_text(int row, int column) const {
  if (is_null(row, column)) return std::nullopt;
  return std::string(text(row, column));
}

std::optional<std::int64_t> Rows::maybe_integer(int row, int column) const {
  if (is_null(row, column)) return std::nullopt;
  return integer(row, column);
}

std::optional<std::int64_t> Rows::maybe_timestamp_us(int row, int column) const {
  if (is_null(row, column)) return std::nullopt;
  return timestamp_us(row, column);
}

std::optional<tracker::Uuid> Rows::maybe_uuid(int row, int column) const {
  if (is_null(row, column)) return std::nullopt;
  return uuid(row, column);
}

}  // namespace tally::db
