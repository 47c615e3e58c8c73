#pragma once
#include <array>
#include <cstdint>

#include "tracker/record.hpp"

namespace tally::ingest::detail {

/// The fast reading of boundary usage events, in any order and spacing, with what may stand beside them. It never
/// judges: what it does not know is left to `BoundaryEvent::read`, and whatever it takes, that takes with the same
/// result.
///
/// A client writes all its events alike. So the text between the values of one event is kept, and the next event is
/// compared with it piece by piece, without looking at names, quotes and spaces again.
class BoundaryScanner {
 public:
  /// Returns where the event that starts at `at` ends, or null. `kLines`: the event may not hold a line break.
  template <bool kLines>
  const char* scan(const char* at, const char* end, tracker::Increment& out) {
    if (pieces_ > 0)
      if (const char* behind = scan_alike(at, end, out)) [[likely]]
        return behind;
    return scan_afresh<kLines>(at, end, out);
  }

 private:
  enum class Member : std::uint8_t { workspace, owner, allowed, denied, time, unknown, end };

  /// What stands before a value, quotes of ids included, or behind the last.
  struct Piece {
    static constexpr std::size_t kLimitBytes = 32;
    std::array<char, kLimitBytes> text;
    std::uint32_t mask;
    std::uint8_t size;
    Member next;
  };
  static constexpr std::size_t kMostPieces = 8;

  const char* scan_alike(const char* at, const char* end, tracker::Increment& out) const;
  template <bool kLines>
  const char* scan_afresh(const char* at, const char* end, tracker::Increment& out);
  template <bool kLines>
  const char* scan_and_learn(const char* at, const char* end, tracker::Increment& out);
  static Member name_at(const char*& at, const char* end);
  static bool matches(const Piece& piece, const char* at);
  void learn(const char* from, const char* to, Member next);

  std::size_t pieces_ = 0;  // 0: nothing learnt, or too much
  std::array<Piece, kMostPieces> shape_;
};

extern template const char* BoundaryScanner::scan_afresh<true>(const char*, const char*, tracker::Increment&);
extern template const char* BoundaryScanner::scan_afresh<false>(const char*, const char*, tracker::Increment&);

}  // namespace tally::ingest::detail
