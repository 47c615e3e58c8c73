#include "tracker/sketch.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace tally::tracker {
namespace {

constexpr unsigned kIndexBits = 16;
constexpr std::size_t kRegisters = std::size_t{1} << kIndexBits;
constexpr unsigned kRankBits = 64 - kIndexBits;
constexpr std::uint8_t kLargestRank = kRankBits + 1;

// The first byte says how the rest is to be read.
constexpr char kSparse = 1;  // index (2 bytes, little-endian) and rank of each register above 0, by rising index
constexpr char kDense = 2;   // all ranks, 4 in 3 bytes
constexpr std::size_t kSparseEntry = 3;
constexpr std::size_t kDenseBytes = kRegisters / 4 * 3;

// Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6.
double sigma(double x) {
  if (x == 1.0) return std::numeric_limits<double>::infinity();
  double y = 1.0;
  double z = x;
  for (double before = -1.0; z != before;) {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  }
  return z;
}

double tau(double x) {
  if (x == 0.0 || x == 1.0) return 0.0;
  double y = 1.0;
  double z = 1.0 - x;
  for (double before = -1.0; z != before;) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1.0 - x) * (1.0 - x) * y;
  }
  return z / 3.0;
}

std::uint8_t byte(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

}  // namespace

void Sketch::add(const Uuid& id) {
  const std::uint64_t hash = XXH3_64bits(id.bytes.data(), id.bytes.size());
  const auto rest = hash << kIndexBits;
  const auto rank = rest == 0 ? kLargestRank : static_cast<std::uint8_t>(std::countl_zero(rest) + 1);
  raise(hash >> kRankBits, rank);
}

void Sketch::raise(std::size_t index, std::uint8_t rank) {
  if (ranks_.empty()) ranks_.resize(kRegisters);
  ranks_[index] = std::max(ranks_[index], rank);
}

void Sketch::merge(const Sketch& other) {
  if (ranks_.empty()) {
    ranks_ = other.ranks_;
    return;
  }
  for (std::size_t i = 0; i < other.ranks_.size(); ++i) ranks_[i] = std::max(ranks_[i], other.ranks_[i]);
}

double Sketch::estimate() const {
  if (ranks_.empty()) return 0.0;
  std::array<double, kLargestRank + 1> having{};
  for (const std::uint8_t rank : ranks_) having[rank] += 1.0;
  constexpr auto m = static_cast<double>(kRegisters);
  double z = m * tau(1.0 - having[kLargestRank] / m);
  for (unsigned rank = kRankBits; rank > 0; --rank) z = 0.5 * (z + having[rank]);
  z += m * sigma(having[0] / m);
  return m * m / (2.0 * std::log(2.0) * z);
}

std::string Sketch::encode() const {
  const auto raised =
      static_cast<std::size_t>(std::count_if(ranks_.begin(), ranks_.end(), [](std::uint8_t rank) { return rank > 0; }));
  std::string bytes;
  if (raised * kSparseEntry < kDenseBytes) {
    bytes.reserve(1 + raised * kSparseEntry);
    bytes += kSparse;
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      if (ranks_[i] == 0) continue;
      bytes += static_cast<char>(i & 0xff);
      bytes += static_cast<char>(i >> 8);
      bytes += static_cast<char>(ranks_[i]);
    }
    return bytes;
  }
  bytes.reserve(1 + kDenseBytes);
  bytes += kDense;
  for (std::size_t i = 0; i < kRegisters; i += 4) {
    const std::uint32_t four = ranks_[i] | ranks_[i + 1] << 6 | ranks_[i + 2] << 12 | ranks_[i + 3] << 18;
    bytes += static_cast<char>(four & 0xff);
    bytes += static_cast<char>(four >> 8 & 0xff);
    bytes += static_cast<char>(four >> 16);
  }
  return bytes;
}

std::optional<Sketch> Sketch::decode(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  const char form = bytes.front();
  bytes.remove_prefix(1);
  Sketch sketch;
  if (form == kSparse && bytes.size() % kSparseEntry == 0) {
    for (std::size_t at = 0; at < bytes.size(); at += kSparseEntry) {
      const std::uint8_t rank = byte(bytes, at + 2);
      if (rank == 0 || rank > kLargestRank) return std::nullopt;
      sketch.raise(byte(bytes, at) | std::size_t{byte(bytes, at + 1)} << 8, rank);
    }
    return sketch;
  }
  if (form != kDense || bytes.size() != kDenseBytes) return std::nullopt;
  for (std::size_t i = 0, at = 0; i < kRegisters; i += 4, at += 3) {
    const std::uint32_t four = byte(bytes, at) | byte(bytes, at + 1) << 8 | byte(bytes, at + 2) << 16;
    for (std::size_t j = 0; j < 4; ++j) {
      const auto rank = static_cast<std::uint8_t>(four >> (6 * j) & 0x3f);
      if (rank > kLargestRank) return std::nullopt;
      sketch.raise(i + j, rank);
    }
  }
  return sketch;
}

}  // namespace tally::tracker
