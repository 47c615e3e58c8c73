#include "daemon/api/ingest_answers.hpp"

#include <fmt/format.h>

namespace tally::daemon::api {

using http::Response;
using http::Status;
using namespace std::chrono_literals;

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

Response keys_not_yet() {
  return http::retry_later(Status::service_unavailable,
                           "Keys are taken once this replica has reached the database for the first time.", 5s);
}

Response key_conflict() {
  return http::problem(Status::unprocessable_entity, "The idempotency key was used with another body.");
}

Response refuse(Context& context, const http::Request& request, metrics::EventKind kind,
                const ingest::Refusal& refusal) {
  context.ingest_metrics.events(request.thread, kind, metrics::IngestResult::invalid);
  std::vector<http::BodyError> errors;
  for (const ingest::Problem& problem : refusal.errors) errors.push_back({problem.pointer, problem.detail});
  return http::problem(static_cast<Status>(refusal.status), refusal.detail, errors);
}

IngestBody::IngestBody(const http::Request& request) {
  std::size_t count = 0;
  for (const http::Field& field : request.fields)
    if (count < headers_.size()) headers_[count++] = {field.name, field.value};
  request_ = {.content_type = request.content_type,
              .headers = {headers_.data(), count},
              .body = request.body,
              .idempotency_key = request.header("Idempotency-Key"),
              .subject = request.subject_as<Caller>().key_subject()};
}

}  // namespace tally::daemon::api
