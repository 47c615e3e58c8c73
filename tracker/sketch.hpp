#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/uuid.hpp"

namespace tally::tracker {

/// How many distinct ids were added, to about 0.4 %, in at most 48 KiB: stands for the ids of a closed period once
/// those are removed. HyperLogLog with 2^16 registers over XXH3; O. Ertl's estimator, which needs no correction for any
/// size. Sketches of several periods merge into what one of all their ids would have been.
class Sketch {
 public:
  /// Standard error of an estimate: 1.04 / sqrt(2^16).
  static constexpr double kRelativeError = 0.0041;

  void add(const Uuid& id);
  void merge(const Sketch& other);
  double estimate() const;

  /// Part of the database's format: never changed, only added to.
  std::string encode() const;
  /// Nothing: not a sketch.
  static std::optional<Sketch> decode(std::string_view bytes);

  friend bool operator==(const Sketch&, const Sketch&) = default;

 private:
  void raise(std::size_t index, std::uint8_t rank);
  std::vector<std::uint8_t> ranks_;  ///< empty until the first id
};

}  // namespace tally::tracker
