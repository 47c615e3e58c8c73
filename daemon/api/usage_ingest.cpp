#include "daemon/api/ingest_answers.hpp"
#include "daemon/ingest/usage.hpp"

namespace tally::daemon::api {
namespace {

using metrics::EventKind;
using metrics::IngestResult;

/// One ingest request between its record's submission and its answer.
struct UsageRecord final : PendingRecord {
  UsageRecord(Context& where, std::uint32_t on, http::Responder answers)
      : context(where), thread(on), responder(std::move(answers)) {}
  Context& context;
  std::uint32_t thread;
  http::Responder responder;

  void settled() override {
    if (error) {
      context.ingest_metrics.events(thread, EventKind::usage, IngestResult::unavailable, volume.events);
      return responder.answer(not_journalled(error));
    }
    context.ingest_metrics.events(thread, EventKind::usage, IngestResult::accepted, volume.events);
    responder.answer(accepted(static_cast<std::uint32_t>(volume.events)));
  }
};

}  // namespace

/// Idempotent by the events' own ids, which the database keeps: there is nothing to look up here.
void post_usage_events(Context& context, http::Request& request, http::Responder responder) {
  const IngestBody body(request);
  ingest::Accepted parsed;
  if (const auto refusal = ingest::read_usage_events(body.request(), parsed))
    return responder.answer(refuse(context, request, EventKind::usage, *refusal));
  if (!parsed.needs_record()) return responder.answer(accepted(parsed.events));
  auto record = std::make_unique<UsageRecord>(context, request.thread, std::move(responder));
  record->type = parsed.type;
  record->payload = std::move(parsed.payload);
  record->volume.events = record->volume.usage_events = parsed.events;
  context.intake.add(request.thread, std::move(record));
}

}  // namespace tally::daemon::api
