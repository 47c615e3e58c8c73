#include "daemon/ingest/detail/envelope.hpp"

#include <algorithm>
#include <tuple>

#include "daemon/ingest/detail/media_type.hpp"

namespace tally::ingest::detail {
namespace {

bool is_cloud_event(Form form) {
  return form != Form::json && form != Form::ndjson;
}

std::optional<Form> form_of(const Request& request) {
  const bool has_attributes = std::any_of(request.headers.begin(), request.headers.end(),
                                          [](const Header& header) { return attribute_name(header.name).has_value(); });
  switch (media_type(request.content_type)) {
    case MediaType::json:
      return has_attributes ? Form::cloud_event_binary : Form::json;
    // Binary mode carries one event, so its data cannot be lines of them.
    case MediaType::ndjson:
      return has_attributes ? std::nullopt : std::optional(Form::ndjson);
    case MediaType::cloud_event:
      return Form::cloud_event;
    case MediaType::cloud_event_batch:
      return Form::cloud_event_batch;
    case MediaType::other:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> find_form(const Request& request, Form& out) {
  const auto form = form_of(request);
  if (!form)
    return Refusal{415,
                   "the content type must be application/json, application/x-ndjson, application/cloudevents+json or "
                   "application/cloudevents-batch+json, in UTF-8",
                   {}};
  out = *form;
  if (request.idempotency_key) {
    if (is_cloud_event(*form))
      return Refusal{400, "header Idempotency-Key: a CloudEvent is its own key (source and id)", {}};
    if (auto refusal = check_key(request)) return refusal;
  }
  return check_body(request);
}

std::optional<Refusal> check_key(const Request& request) {
  if (!request.idempotency_key || is_idempotency_key(*request.idempotency_key)) return std::nullopt;
  return Refusal{400, "header Idempotency-Key: must be 1 to 128 visible ASCII characters", {}};
}

std::optional<Refusal> check_body(const Request& request) {
  if (!request.body.empty()) return std::nullopt;
  return Refusal{400, "the body is empty", {}};
}

void find_conflicts(std::vector<CloudEventKey>& keys, Findings& findings) {
  const auto order = [](const CloudEventKey& a, const CloudEventKey& b) {
    return std::tie(a.id, a.index) < std::tie(b.id, b.index);
  };
  std::sort(keys.begin(), keys.end(), order);
  const Place root;
  for (std::size_t i = 1; i < keys.size(); ++i)
    if (keys[i].id == keys[i - 1].id && keys[i].body != keys[i - 1].body) {
      const Place event = root.at(keys[i].index);
      findings.invalid(event.at("id"), "an earlier event has this source and id and other data");
    }
}

}  // namespace tally::ingest::detail
