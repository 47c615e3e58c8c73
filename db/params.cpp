#include "db/params.hpp"

#include <bit>
#include <cstring>

#include "db/detail/wire.hpp"

namespace tally::db {
namespace {

constexpr std::size_t kNull = static_cast<std::size_t>(-1);
constexpr int kText = 0;
constexpr int kBinary = 1;

void begin_array(std::string& out, unsigned element, std::size_t count, bool nulls = false) {
  detail::put32(out, count == 0 ? 0 : 1);  // dimensions
  detail::put32(out, nulls ? 1 : 0);
  detail::put32(out, element);
  if (count == 0) return;
  detail::put32(out, static_cast<std::uint32_t>(count));
  detail::put32(out, 1);  // lower bound
}

/// `write` puts one element with its length.
template <class T, class Write>
void put_array(std::string& out, unsigned element, std::span<const std::optional<T>> values, Write write) {
  begin_array(out, element, values.size(), true);
  for (const std::optional<T>& value : values) {
    if (value)
      write(*value);
    else
      detail::put32(out, 0xffffffff);
  }
}

void put_text(std::string& out, std::string_view text) {
  detail::put32(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

}  // namespace

template <class Write>
Params& Params::add(unsigned type, int format, Write write) {
  const std::size_t start = bytes_.size();
  write(bytes_);
  starts_.push_back(start);
  lengths_.push_back(static_cast<int>(bytes_.size() - start));
  if (format == kText) bytes_.push_back('\0');
  formats_.push_back(format);
  types_.push_back(type);
  return *this;
}

Params& Params::add_null(unsigned type) {
  starts_.push_back(kNull);
  lengths_.push_back(0);
  formats_.push_back(kBinary);
  types_.push_back(type);
  return *this;
}

std::vector<const char*> Params::values() const {
  std::vector<const char*> pointers;
  pointers.reserve(starts_.size());
  for (std::size_t start : starts_) pointers.push_back(start == kNull ? nullptr : bytes_.data() + start);
  return pointers;
}

Params& Params::uuid(const tracker::Uuid& value) {
  return add(detail::kUuid, kBinary, [&](std::string& out) { detail::put_bytes(out, value.bytes.data(), 16); });
}

Params& Params::int4(std::int32_t value) {
  return add(detail::kInt4, kBinary, [&](std::string& out) { detail::put32(out, static_cast<std::uint32_t>(value)); });
}

Params& Params::int8(std::int64_t value) {
  return add(detail::kInt8, kBinary, [&](std::string& out) { detail::put64(out, static_cast<std::uint64_t>(value)); });
}

Params& Params::boolean(bool value) {
  return add(detail::kBool, kBinary, [&](std::string& out) { out.push_back(value ? 1 : 0); });
}

Params& Params::float8(double value) {
  return add(detail::kFloat8, kBinary,
             [&](std::string& out) { detail::put64(out, std::bit_cast<std::uint64_t>(value)); });
}

Params& Params::text(std::string_view value) {
  return add(detail::kText, kBinary, [&](std::string& out) { out.append(value); });
}

Params& Params::literal(std::string_view value) {
  return add(0, kText, [&](std::string& out) { out.append(value); });
}

Params& Params::jsonb(std::string_view json) {
  return add(detail::kJsonb, kBinary, [&](std::string& out) {
    out.push_back(1);  // version of the binary format
    out.append(json);
  });
}

Params& Params::bytea(std::span<const std::uint8_t> value) {
  return add(detail::kBytea, kBinary, [&](std::string& out) { detail::put_bytes(out, value.data(), value.size()); });
}

Params& Params::numeric(tracker::Sum value) {
  return add(detail::kNumeric, kText, [&](std::string& out) { out += tracker::to_string(value); });
}

Params& Params::timestamptz(std::int64_t unix_us) {
  return add(detail::kTimestamptz, kBinary, [&](std::string& out) {
    detail::put64(out, static_cast<std::uint64_t>(unix_us - detail::kPostgresEpochUs));
  });
}

Params& Params::uuids(std::span<const tracker::Uuid> values) {
  return add(detail::kUuidArray, kBinary, [&](std::string& out) {
    out.reserve(out.size() + 20 + values.size() * 20);
    begin_array(out, detail::kUuid, values.size());
    for (const tracker::Uuid& value : values) {
      detail::put32(out, 16);
      detail::put_bytes(out, value.bytes.data(), 16);
    }
  });
}

Params& Params::int4s(std::span<const std::int32_t> values) {
  return add(detail::kInt4Array, kBinary, [&](std::string& out) {
    begin_array(out, detail::kInt4, values.size());
    for (std::int32_t value : values) {
      detail::put32(out, 4);
      detail::put32(out, static_cast<std::uint32_t>(value));
    }
  });
}

Params& Params::int8s(std::span<const std::int64_t> values) {
  return add(detail::kInt8Array, kBinary, [&](std::string& out) {
    begin_array(out, detail::kInt8, values.size());
    for (std::int64_t value : values) {
      detail::put32(out, 8);
      detail::put64(out, static_cast<std::uint64_t>(value));
    }
  });
}

Params& Params::texts(std::span<const std::string> values) {
  return add(detail::kTextArray, kBinary, [&](std::string& out) {
    begin_array(out, detail::kText, values.size());
    for (const std::string& value : values) put_text(out, value);
  });
}

Params& Params::byteas(std::span<const std::string> values) {
  return add(detail::kByteaArray, kBinary, [&](std::string& out) {
    begin_array(out, detail::kBytea, values.size());
    for (const std::string& value : values) put_text(out, value);
  });
}

Params& Params::uuids(std::span<const std::optional<tracker::Uuid>> values) {
  return add(detail::kUuidArray, kBinary, [&](std::string& out) {
    put_array(out, detail::kUuid, values, [&](const tracker::Uuid& value) {
      detail::put32(out, 16);
      detail::put_bytes(out, value.bytes.data(), 16);
    });
  });
}

Params& Params::int8s(std::span<const std::optional<std::int64_t>> values) {
  return add(detail::kInt8Array, kBinary, [&](std::string& out) {
    put_array(out, detail::kInt8, values, [&](std::int64_t value) {
      detail::put32(out, 8);
      detail::put64(out, static_cast<std::uint64_t>(value));
    });
  });
}

Params& Params::timestamptzs(std::span<const std::optional<std::int64_t>> values) {
  return add(detail::kTimestamptzArray, kBinary, [&](std::string& out) {
    put_array(out, detail::kTimestamptz, values, [&](std::int64_t unix_us) {
      detail::put32(out, 8);
      detail::put64(out, static_cast<std::uint64_t>(unix_us - detail::kPostgresEpochUs));
    });
  });
}

Params& Params::texts(std::span<const std::optional<std::string_view>> values) {
  return add(detail::kTextArray, kBinary, [&](std::string& out) {
    put_array(out, detail::kText, values, [&](std::string_view value) { put_text(out, value); });
  });
}

Params& Params::byteas(std::span<const std::optional<std::string>> values) {
  return add(detail::kByteaArray, kBinary, [&](std::string& out) {
    put_array(out, detail::kBytea, values, [&](const std::string& value) { put_text(out, value); });
  });
}

Params& Params::numerics(std::span<const tracker::Sum> values) {
  return add(detail::kNumericArray, kText, [&](std::string& out) {
    out.push_back('{');
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) out.push_back(',');
      out += tracker::to_string(values[i]);
    }
    out.push_back('}');
  });
}

Params& Params::null_uuid() {
  return add_null(detail::kUuid);
}
Params& Params::null_int8() {
  return add_null(detail::kInt8);
}
Params& Params::null_text() {
  return add_null(detail::kText);
}
Params& Params::null_timestamptz() {
  return add_null(detail::kTimestamptz);
}

}  // namespace tally::db
