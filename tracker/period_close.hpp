#pragma once
#include <optional>

#include "tracker/batch.hpp"
#include "tracker/errors.hpp"

namespace tally::tracker {

/// Closes one period and gets its report (accounting.md section 7, C1 to C3). It decides and waits for nothing: ask
/// `next`, do it, tell the outcome. However often an answer is lost, one request closes at most one period, since every
/// try names the same period and carries the same request id.
class PeriodClose {
 public:
  enum class Do {
    read_clock,  ///< no period was named: ask for the open one, then `clock` or `failed`
    close,       ///< Store::close(period(), request(), discard), then `closed` or `failed`
    report,      ///< Store::report(period()), then `summed` or `failed`
    done,        ///< `report()` is there; `moved()` tells whether this request closed it
    refused,     ///< the named period is neither open nor closed
  };

  PeriodClose(std::optional<PeriodId> period, Uuid request) : period_(period), request_(request) {}

  Do next() const;
  PeriodId period() const { return *period_; }
  const Uuid& request() const { return request_; }
  bool moved() const { return moved_; }
  const Report& report() const { return *report_; }

  void clock(PeriodId open) { period_ = open; }
  void closed(bool moved_by_this_request);
  void summed(Report report) { report_ = std::move(report); }
  /// `conflict` ends it; anything else means: the same step again, also when the outcome is unknown (M7).
  void failed(Errc why);

 private:
  std::optional<PeriodId> period_;
  Uuid request_;
  bool is_closed_ = false;
  bool moved_ = false;
  bool refused_ = false;
  std::optional<Report> report_;
};

}  // namespace tally::tracker
