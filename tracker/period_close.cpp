#include "tracker/period_close.hpp"

#include "tracker/rules.hpp"

namespace tally::tracker {

PeriodClose::Do PeriodClose::next() const {
  if (refused_) return Do::refused;
  if (report_) return Do::done;
  if (is_closed_) return Do::report;
  return period_ ? Do::close : Do::read_clock;
}

void PeriodClose::closed(bool moved_by_this_request) {
  is_closed_ = true;
  moved_ = moved_by_this_request;
}

void PeriodClose::failed(Errc why) {
  if (why == Errc::conflict) refused_ = true;
  if (why == Errc::outcome_unknown && !holds("M7")) period_.reset();  // whichever is open now
}

}  // namespace tally::tracker
