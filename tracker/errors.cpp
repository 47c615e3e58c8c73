#include "tracker/errors.hpp"

#include <string>

namespace tally::tracker {
namespace {

class TrackerCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "tally.tracker"; }
  std::string message(int code) const override {
    switch (static_cast<Errc>(code)) {
      case Errc::store_unavailable:
        return "the database cannot be reached";
      case Errc::outcome_unknown:
        return "the database's answer was lost; the statement may or may not have committed";
      case Errc::serialization:
        return "the database rolled back and asks to try again";
      case Errc::data_refused:
        return "the database refused the data";
      case Errc::store_refuses:
        return "the database cannot be written";
      case Errc::not_found:
        return "not found";
      case Errc::conflict:
        return "conflicts with the current state";
      case Errc::journal_failed:
        return "the journal's disk failed";
      case Errc::journal_full:
        return "the journal cannot take more";
      case Errc::overloaded:
        return "too much is waiting";
      case Errc::corrupt:
        return "a journal record is damaged";
      case Errc::shutting_down:
        return "shutting down";
    }
    return "unknown error";
  }
};

}  // namespace

const boost::system::error_category& tracker_category() noexcept {
  static const TrackerCategory category;
  return category;
}

}  // namespace tally::tracker
