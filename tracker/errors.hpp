#pragma once
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace tally::tracker {

/// How a port can fail. What matters is what the caller may conclude from it.
enum class Errc {
  /// The store could not be reached; nothing was sent.
  store_unavailable = 1,
  /// The statement was sent and no answer came: it may have committed, may still commit, or may never (accounting.md
  /// F4).
  outcome_unknown,
  /// The store rolled back and asks to try again (SQLSTATE 40001, 40P01).
  serialization,
  /// The store refused the data itself (SQLSTATE class 22 or 23): never repeated blindly.
  data_refused,
  /// The store answers but cannot be written (read-only, disk full, no rights, schema missing or too new).
  store_refuses,
  not_found,
  /// The period, stream or version is not in the state that the call expected.
  conflict,
  /// The journal's disk failed for this group; the records may still be found valid later and count once.
  journal_failed,
  /// The journal is over its quota or has no stream to write to.
  journal_full,
  /// What waits for the disk is at its bound.
  overloaded,
  /// A record or segment failed its checksum before its end.
  corrupt,
  shutting_down,
};

const boost::system::error_category& tracker_category() noexcept;
inline boost::system::error_code make_error_code(Errc code) noexcept {
  return {static_cast<int>(code), tracker_category()};
}

template <class T>
using Result = boost::system::result<T>;

}  // namespace tally::tracker

template <>
struct boost::system::is_error_code_enum<tally::tracker::Errc> : std::true_type {};
