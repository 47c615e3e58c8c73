#include "daemon/readiness.hpp"

namespace tally::daemon {

std::vector<api::Check> Readiness::checks() const {
  std::vector<api::Check> all;
  const bool open = journal.stream().has_value();
  const bool failed = journal_observer.failed_lately();
  all.push_back({"journal", open && !failed, true,
                 !open    ? "no stream can be opened"
                 : failed ? "the disk refused a group within the last 5 s"
                          : ""});
  all.push_back(
      {"journal_size", !journal_observer.is_full(), true, journal_observer.is_full() ? "at --journal-max-bytes" : ""});
  // Whoever asks needs no token, and the server's words may name hosts and users.
  const bool connected = heart.connected();
  all.push_back({"database", connected, false, connected ? "" : "not reached, or it refuses; the log says why"});
  const auto unfit = schema.problem();
  all.push_back({"schema", unfit.empty(), false, unfit});
  const auto lost = witness.problem();
  all.push_back({"periods", lost.empty(), false, lost});
  const auto stuck = watch.stuck_streams();
  all.push_back({"streams", stuck.empty(), false, stuck});
  const auto stalled = jobs.stalled();
  all.push_back({"jobs", stalled.empty(), false, stalled});
  const auto silent = watch.silent_replicas();
  all.push_back({"replicas", silent.empty(), false, silent});
  if (reporter) {
    const std::string failing = reporter->problem();
    all.push_back({"report_delivery", failing.empty(), false, failing});
  }
  Publisher::Health usage = publisher.health();
  all.push_back({"usage_events", usage.ok, false, std::move(usage.detail)});
  return all;
}

}  // namespace tally::daemon
