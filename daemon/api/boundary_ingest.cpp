#include "daemon/api/ingest_answers.hpp"
#include "daemon/ingest/boundary.hpp"
#include "tracker/record.hpp"
#include "tracker/rules.hpp"

namespace tally::daemon::api {
namespace {

using http::Status;

/// One ingest request between its record's submission and its answer.
struct BoundaryRecord final : PendingRecord {
  BoundaryRecord(Context& where, std::uint32_t on, http::Responder answers)
      : context(where), thread(on), responder(std::move(answers)) {}
  Context& context;
  std::uint32_t thread;
  http::Responder responder;
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  /// Of raw logs only.
  std::optional<ingest::LogBatch> logs;

  std::optional<std::uint32_t> skipped() const { return logs ? std::optional(logs->skipped) : std::nullopt; }

  void remember_keys() {
    if (type != tracker::RecordType::boundary_keyed) return;
    const auto now = context.clock.steady();
    tracker::for_each_effect(
        std::as_bytes(std::span(payload)),
        [&](const tracker::Uuid& key, std::uint64_t body, std::uint32_t) { context.keys.remember(key, body, now); },
        [](const tracker::Increment&) {});
  }

  void settled() override {
    metrics::IngestMetrics& counters = context.ingest_metrics;
    if (!error || !tracker::holds("S9.durable")) remember_keys();
    if (error) {
      counters.events(thread, metrics::EventKind::boundary, metrics::IngestResult::unavailable, volume.events);
      return responder.answer(not_journalled(error));
    }
    counters.events(thread, metrics::EventKind::boundary, metrics::IngestResult::accepted, volume.events);
    counters.boundary_requests(thread, allowed, denied);
    if (logs && logs->numbered)
      counters.sequence_gap(thread, logs->missing + context.sequences.follow(logs->session, logs->first, logs->last));
    responder.answer(accepted(static_cast<std::uint32_t>(volume.events), skipped()));
  }
};

/// What the memory of keys says of all effects of a record together.
tracker::KeyMemory::Known known_keys(Context& context, const ingest::Accepted& parsed) {
  using Known = tracker::KeyMemory::Known;
  const auto now = context.clock.steady();
  bool all = true;
  bool conflict = false;
  tracker::for_each_effect(
      std::as_bytes(std::span(parsed.payload)),
      [&](const tracker::Uuid& key, std::uint64_t body, std::uint32_t) {
        const Known known = context.keys.look_up(key, body, now);
        all = all && known == Known::same;
        conflict = conflict || known == Known::conflict;
      },
      [](const tracker::Increment&) {});
  return conflict ? Known::conflict : all ? Known::same : Known::no;
}

/// Checks whose events these are, sums them up, and gives the record to the journal.
void take(Context& context, http::Request& request, http::Responder responder, ingest::Accepted&& parsed,
          std::optional<ingest::LogBatch> logs) {
  const auto& caller = request.subject_as<Caller>();
  auto record = std::make_unique<BoundaryRecord>(context, request.thread, std::move(responder));
  record->logs = logs;
  bool own = true;
  const bool agent = caller.token.agent.has_value();
  const bool readable = tracker::for_each_increment(
      parsed.type, std::as_bytes(std::span(parsed.payload)), [&](const tracker::Increment& increment) {
        record->allowed += increment.allowed;
        record->denied += increment.denied;
        record->volume.requests += increment.allowed + increment.denied;
        if (agent) own = own && admits_event(caller, increment.workspace, increment.owner);
      });
  if (!own || (!readable && parsed.needs_record())) {
    context.ingest_metrics.events(request.thread, metrics::EventKind::boundary, metrics::IngestResult::invalid);
    return record->responder.answer(http::problem(Status::forbidden, kOwnOnly));
  }
  if (!parsed.needs_record()) return record->responder.answer(accepted(parsed.events, record->skipped()));
  if (parsed.type == tracker::RecordType::boundary_keyed) {
    if (!context.heart.registered() && tracker::holds("S5.registered")) return record->responder.answer(keys_not_yet());
    switch (known_keys(context, parsed)) {
      case tracker::KeyMemory::Known::same:
        context.ingest_metrics.duplicates(request.thread, metrics::EventKind::boundary, parsed.events);
        return record->responder.answer(accepted(parsed.events, record->skipped()));
      case tracker::KeyMemory::Known::conflict:
        context.ingest_metrics.key_conflicts(request.thread);
        context.ingest_metrics.events(request.thread, metrics::EventKind::boundary, metrics::IngestResult::invalid);
        return record->responder.answer(key_conflict());
      case tracker::KeyMemory::Known::no:
        break;
    }
  }
  record->type = parsed.type;
  record->payload = std::move(parsed.payload);
  record->volume.events = parsed.events;
  context.intake.add(request.thread, std::move(record));
}

}  // namespace

void post_boundary_events(Context& context, http::Request& request, http::Responder responder) {
  const IngestBody body(request);
  ingest::Accepted parsed;
  if (const auto refusal = ingest::read_boundary_events(body.request(), parsed))
    return responder.answer(refuse(context, request, metrics::EventKind::boundary, *refusal));
  take(context, request, std::move(responder), std::move(parsed), std::nullopt);
}

void post_boundary_logs(Context& context, http::Request& request, http::Responder responder) {
  const IngestBody body(request);
  ingest::Accepted parsed;
  ingest::LogBatch batch;
  if (const auto refusal = ingest::read_boundary_logs(body.request(), parsed, batch))
    return responder.answer(refuse(context, request, metrics::EventKind::boundary, *refusal));
  // Also when every log was skipped and no increment is left to check.
  const auto& caller = request.subject_as<Caller>();
  if (caller.token.agent && !admits_event(caller, batch.workspace, batch.owner))
    return responder.answer(http::problem(Status::forbidden, kOwnOnly));
  if (batch.skipped > 0)
    context.ingest_metrics.events(request.thread, metrics::EventKind::boundary, metrics::IngestResult::skipped,
                                  batch.skipped);
  take(context, request, std::move(responder), std::move(parsed), batch);
}

}  // namespace tally::daemon::api
