#pragma once
#include <vector>

#include "daemon/api/context.hpp"
#include "daemon/counting/heart.hpp"
#include "daemon/counting/period_witness.hpp"
#include "daemon/counting/schema_keeper.hpp"
#include "daemon/counting/watch.hpp"
#include "daemon/jobs.hpp"
#include "daemon/observers.hpp"
#include "daemon/publish/publisher.hpp"
#include "daemon/publish/reporter.hpp"
#include "journal/writer_thread.hpp"

namespace tally::daemon {

/// The parts that `/readyz` asks. They outlive it.
struct Readiness {
  const journal::WriterThread& journal;
  const JournalObserver& journal_observer;
  const Heart& heart;
  const SchemaKeeper& schema;
  const PeriodWitness& witness;
  const Watch& watch;
  Jobs& jobs;
  const Reporter* reporter;  ///< nothing: reports go nowhere
  const Publisher& publisher;

  /// What each says now. Thread-safe.
  std::vector<api::Check> checks() const;
};

}  // namespace tally::daemon
