#include "daemon/api/render.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace tally::daemon::api {

std::string rfc3339(std::int64_t microseconds) {
  const auto seconds = microseconds / 1'000'000 - (microseconds % 1'000'000 < 0 ? 1 : 0);
  const auto rest = microseconds - seconds * 1'000'000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(seconds)), rest);
}

// The schema number of the report object, which is also what is posted to --report-url.
constexpr int kReportSchema = 1;

std::string to_json(const tracker::Report& report) {
  return fmt::format(
      R"({{"period":{},"started_at":"{}","ended_at":"{}","replicas":{},"allowed_requests":{},"denied_requests":{},)"
      R"("unique_workspaces":{},"unique_users":{},"late_increments":{},"discarded":{},"cluster_id":"{}",)"
      R"("coverage":{},"schema":{}}})",
      report.period, rfc3339(report.started_at_us), rfc3339(report.ended_at_us), report.replicas, report.allowed,
      report.denied, report.unique_workspaces, report.unique_users, report.late_increments, report.discarded,
      report.cluster_id, report.coverage, kReportSchema);
}

std::string to_json(const db::Summary& summary) {
  std::string text = fmt::format(
      R"({{"period":{},"started_at":"{}","as_of":"{}","replicas":{},"allowed_requests":{},"denied_requests":{},)"
      R"("unique_workspaces":{},"unique_users":{},"missing_replicas":[)",
      summary.period, rfc3339(summary.started_at_us), rfc3339(summary.as_of_us), summary.replicas, summary.allowed,
      summary.denied, summary.unique_workspaces, summary.unique_users);
  for (std::size_t i = 0; i < summary.missing_replicas.size(); ++i) {
    if (i > 0) text += ',';
    http::append_json_string(text, summary.missing_replicas[i]);
  }
  return text + "]}";
}

namespace {

std::string events_json(std::int64_t applied, std::int64_t unflushed) {
  return fmt::format(R"({{"accepted":{},"applied":{},"unflushed":{}}})", applied + unflushed, applied, unflushed);
}

}  // namespace

std::string to_json(const db::Ledger& ledger, const std::optional<OwnReplica>& own) {
  tracker::Sum unflushed = 0;
  std::int64_t connections = 0;
  std::int64_t usage = 0;
  std::string replicas;
  const auto add = [&](std::string_view id, tracker::Sum requests, double age_seconds) {
    unflushed += requests;
    if (!replicas.empty()) replicas += ',';
    replicas += R"({"id":)";
    http::append_json_string(replicas, id);
    replicas += fmt::format(R"(,"unflushed":{},"age_seconds":{:.3f}}})", tracker::to_string(requests), age_seconds);
  };
  bool own_listed = false;
  for (const auto& replica : ledger.replicas) {
    const tracker::Sum heard = tracker::parse_sum(replica.unflushed);
    if (own && replica.id == own->id) {
      own_listed = true;
      connections += static_cast<std::int64_t>(own->share.unflushed.connection_events);
      if (!own->share.complete) connections += replica.unflushed_connection_events;
      usage += static_cast<std::int64_t>(own->share.unflushed.usage_events);
      if (!own->share.complete) usage += replica.unflushed_usage_events;
      add(own->id, own->share.unflushed.requests + (own->share.complete ? 0 : heard), 0);
    } else {
      connections += replica.unflushed_connection_events;
      usage += replica.unflushed_usage_events;
      add(replica.id, heard, replica.age_seconds);
    }
  }
  // A replica that has just been given up, or was never registered, has what it has.
  if (own && !own_listed && own->share.unflushed.requests > 0) add(own->id, own->share.unflushed.requests, 0);
  if (own && !own_listed) {
    connections += static_cast<std::int64_t>(own->share.unflushed.connection_events);
    usage += static_cast<std::int64_t>(own->share.unflushed.usage_events);
  }
  return fmt::format(
      R"({{"boundary_usage":{{"accepted":{},"applied":{},"unflushed":{},"reported":{},"open":{},"discarded":{},)"
      R"("duplicates":{},"set_aside":{}}},"connection_events":{},"usage_events":{},"balanced":{},"replicas":[{}]}})",
      tracker::to_string(tracker::parse_sum(ledger.applied) + unflushed), ledger.applied, tracker::to_string(unflushed),
      ledger.reported, ledger.open, ledger.discarded, ledger.duplicates, ledger.set_aside,
      events_json(ledger.connection_events_applied, connections), events_json(ledger.usage_events_applied, usage),
      ledger.balanced, replicas);
}

std::string to_json(const db::UsageEventRow& event) {
  std::string text = R"({"id":)";
  http::append_json_string(text, event.id);
  text += R"(,"event_type":)";
  http::append_json_string(text, event.event_type);
  text += fmt::format(R"(,"event_data":{},"created_at":"{}","status":"{}","attempts":{})", event.event_data,
                      rfc3339(event.created_at_us), to_string(event.status), event.attempts);
  if (event.failure_message) {
    text += R"(,"failure_message":)";
    http::append_json_string(text, *event.failure_message);
  }
  if (event.published_at_us) text += fmt::format(R"(,"published_at":"{}")", rfc3339(*event.published_at_us));
  return text + "}";
}

http::Response store_failure(const boost::system::error_code& error) {
  return http::retry_later(http::Status::service_unavailable, error.message(), std::chrono::seconds(5));
}

}  // namespace tally::daemon::api
