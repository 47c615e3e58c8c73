#include <fmt/format.h>

#include <array>

#include "daemon/api/context.hpp"
#include "daemon/ingest/boundary.hpp"
#include "tracker/record.hpp"
#include "tracker/rules.hpp"

namespace tally::daemon::api {
namespace {

using http::Response;
using http::Status;
using namespace std::chrono_literals;

constexpr std::string_view kOwnOnly = "An agent may report for its own workspace and owner only.";

Response accepted(std::uint32_t events, std::optional<std::uint32_t> skipped) {
  Response answer;
  answer.status = Status::accepted;
  if (skipped)
    answer.body = fmt::format(R"({{"accepted":{},"skipped":{}}})", events, *skipped);
  else if (events == 1)
    answer.fixed_body = R"({"accepted":1})";
  else
    answer.body = fmt::format(R"({{"accepted":{}}})", events);
  return answer;
}

Response not_journalled(const boost::system::error_code& error) {
  if (error == tracker::Errc::overloaded)
    return http::retry_later(Status::service_unavailable, "Too much is waiting for the disk.", 1s);
  if (error == tracker::Errc::journal_full)
    return http::retry_later(Status::service_unavailable, "The journal cannot take more.", 5s);
  if (error == tracker::Errc::shutting_down)
    return http::retry_later(Status::service_unavailable, "Shutting down.", 1s);
  return http::retry_later(Status::service_unavailable,
                           "The journal's disk failed. The events may still count once: retry with an Idempotency-Key.",
                           1s);
}

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

Response refuse(Context& context, const http::Request& request, const ingest::Refusal& refusal) {
  context.ingest_metrics.events(request.thread, metrics::EventKind::boundary, metrics::IngestResult::invalid);
  std::vector<http::BodyError> errors;
  for (const ingest::Problem& problem : refusal.errors) errors.push_back({problem.pointer, problem.detail});
  return http::problem(static_cast<Status>(refusal.status), refusal.detail, errors);
}

/// The headers as the parser takes them. At most as many as the server lets through.
struct Headers {
  std::array<ingest::Header, 64> list;
  std::size_t count = 0;
  explicit Headers(const http::Request& request) {
    for (const http::Field& field : request.fields)
      if (count < list.size()) list[count++] = {field.name, field.value};
  }
  std::span<const ingest::Header> span() const { return {list.data(), count}; }
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
    if (!context.heart.registered() && tracker::holds("S5.registered"))
      return record->responder.answer(
          http::retry_later(Status::service_unavailable,
                            "Keys are taken once this replica has reached the database for the first time.", 5s));
    switch (known_keys(context, parsed)) {
      case tracker::KeyMemory::Known::same:
        context.ingest_metrics.duplicates(request.thread, metrics::EventKind::boundary, parsed.events);
        return record->responder.answer(accepted(parsed.events, record->skipped()));
      case tracker::KeyMemory::Known::conflict:
        context.ingest_metrics.key_conflicts(request.thread);
        context.ingest_metrics.events(request.thread, metrics::EventKind::boundary, metrics::IngestResult::invalid);
        return record->responder.answer(
            http::problem(Status::unprocessable_entity, "The idempotency key was used with another body."));
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
  const Headers headers(request);
  const ingest::Request body{.content_type = request.content_type,
                             .headers = headers.span(),
                             .body = request.body,
                             .idempotency_key = request.header("Idempotency-Key"),
                             .subject = request.subject_as<Caller>().key_subject()};
  ingest::Accepted parsed;
  if (const auto refusal = ingest::read_boundary_events(body, parsed))
    return responder.answer(refuse(context, request, *refusal));
  take(context, request, std::move(responder), std::move(parsed), std::nullopt);
}

void post_boundary_logs(Context& context, http::Request& request, http::Responder responder) {
  const Headers headers(request);
  const ingest::Request body{.content_type = request.content_type,
                             .headers = headers.span(),
                             .body = request.body,
                             .idempotency_key = request.header("Idempotency-Key"),
                             .subject = request.subject_as<Caller>().key_subject()};
  ingest::Accepted parsed;
  ingest::LogBatch batch;
  if (const auto refusal = ingest::read_boundary_logs(body, parsed, batch))
    return responder.answer(refuse(context, request, *refusal));
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
