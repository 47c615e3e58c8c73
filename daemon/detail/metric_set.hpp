#pragma once
#include "daemon/detail/part_options.hpp"
#include "daemon/log.hpp"
#include "daemon/version.hpp"
#include "metrics/authz_metrics.hpp"
#include "metrics/connection_metrics.hpp"
#include "metrics/flush_metrics.hpp"
#include "metrics/http_metrics.hpp"
#include "metrics/ingest_metrics.hpp"
#include "metrics/journal_metrics.hpp"
#include "metrics/ledger_metrics.hpp"
#include "metrics/log_metrics.hpp"
#include "metrics/process_metrics.hpp"
#include "metrics/report_metrics.hpp"

namespace tally::daemon::detail {

/// The metrics, registered before anything can raise them.
struct Metrics {
  explicit Metrics(std::uint32_t threads)
      : process(registry, version(), revision()),
        http(registry, metric_rows(), threads),
        ingest(registry, threads),
        journal(registry),
        flush(registry),
        db(registry),
        authz(registry, threads),
        reports(registry),
        ledger(registry),
        connections(registry),
        log(registry, log::dropped, log::events_dropped) {}
  metrics::Registry registry;
  metrics::ProcessMetrics process;
  metrics::HttpMetrics http;
  metrics::IngestMetrics ingest;
  metrics::JournalMetrics journal;
  metrics::FlushMetrics flush;
  metrics::DbMetrics db;
  metrics::AuthzMetrics authz;
  metrics::ReportMetrics reports;
  metrics::LedgerMetrics ledger;
  metrics::ConnectionMetrics connections;
  metrics::LogMetrics log;
};

}  // namespace tally::daemon::detail
