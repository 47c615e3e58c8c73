#include <algorithm>

#include "daemon/ingest/boundary.hpp"
#include "daemon/ingest/detail/boundary_event.hpp"
#include "daemon/ingest/detail/envelope.hpp"
#include "daemon/ingest/detail/media_type.hpp"

namespace tally::ingest {
namespace {

using detail::Findings;
using detail::JsonKind;
using detail::JsonReader;
using detail::Place;

constexpr std::string_view kRoute = "boundary-usage/logs";

class BoundaryLogs {
 public:
  explicit BoundaryLogs(const Request& request) : request_(request), reader_(request.body, request.body.data()) {}

  std::optional<Refusal> read(Accepted& out, LogBatch& batch) {
    read_body();
    if (!reader_.failed() && !session_.empty()) check_numbers();
    if (findings_.any()) return std::move(findings_).refusal();

    batch = {.workspace = sums_.workspace, .owner = sums_.owner};
    batch.skipped = logs_ - counted_;
    describe_session(batch);
    out.events = counted_;
    out.payload.clear();
    encode(batch, out);
    return std::nullopt;
  }

 private:
  void read_body() {
    enum Member : std::size_t { workspace_id, owner_id, session_id, logs };
    static constexpr std::string_view kMembers[] = {"workspace_id", "owner_id", "session_id", "logs"};
    const auto seen = take_members(reader_, root_, findings_, kMembers, [&](std::size_t member, const Place& place) {
      switch (static_cast<Member>(member)) {
        case workspace_id:
          take_uuid(reader_, place, findings_, sums_.workspace);
          break;
        case owner_id:
          take_uuid(reader_, place, findings_, sums_.owner);
          break;
        case session_id:
          read_session(place);
          break;
        case logs:
          read_logs(place);
          break;
      }
    });
    reader_.expect_end();
    if (reader_.failed()) findings_.not_json(root_, reader_.failure(), reader_.failure_offset());
    if (!seen) return;
    for (const Member required : {workspace_id, owner_id, logs})
      if ((*seen >> required & 1) == 0) findings_.invalid(root_.at(kMembers[required]), "missing");
  }

  void read_session(const Place& place) {
    std::string_view text;
    if (!take_text(reader_, place, findings_, text)) return;
    if (text.empty()) findings_.invalid(place, "empty");
    // A session is usually a UUID, whose letter case means nothing.
    const auto uuid = tracker::Uuid::parse(text);
    session_ = uuid ? uuid->to_string() : std::string(text);
  }

  void read_logs(const Place& place) {
    if (!take_array(reader_, place, findings_)) return;
    for (; reader_.next_element(); ++logs_) read_log(place.at(logs_));
  }

  void read_log(const Place& place) {
    enum Member : std::size_t { allowed, time, sequence_number, http_request };
    static constexpr std::string_view kMembers[] = {"allowed", "time", "sequence_number", "http_request"};
    bool is_allowed = false;
    bool has_request = false;
    const auto seen = take_members(reader_, place, findings_, kMembers, [&](std::size_t member, const Place& inside) {
      std::uint64_t number = 0;
      switch (static_cast<Member>(member)) {
        case allowed:
          take_boolean(reader_, inside, findings_, is_allowed);
          break;
        case time:
          take_time(reader_, inside, findings_);
          break;
        case sequence_number:
          if (take_count(reader_, inside, findings_, number)) numbers_.push_back(number);
          break;
        case http_request:
          has_request = read_http_request(inside);
          break;
      }
    });
    if (!seen) return;
    for (const Member required : {allowed, time})
      if ((*seen >> required & 1) == 0) findings_.invalid(place.at(kMembers[required]), "missing");
    if (!has_request) return;
    ++counted_;
    ++(is_allowed ? sums_.allowed : sums_.denied);
  }

  /// Whether there is one: null is none. Its members are not kept, so they may be of any length, and a denied request
  /// has no rule.
  bool read_http_request(const Place& place) {
    static constexpr std::string_view kMembers[] = {"method", "url", "matched_rule"};
    if (reader_.peek() == JsonKind::null) {
      reader_.skip();
      return false;
    }
    take_members(reader_, place, findings_, kMembers, [&](std::size_t, const Place& inside) {
      if (reader_.peek() == JsonKind::null)
        reader_.skip();
      else
        take_any_text(reader_, inside, findings_);
    });
    return true;
  }

  void check_numbers() {
    if (numbers_.size() != logs_ && !numbers_.empty())
      findings_.invalid(root_.at("logs"), "with a session, all logs have a sequence_number or none has");
    if (!std::is_sorted(numbers_.begin(), numbers_.end())) std::sort(numbers_.begin(), numbers_.end());
    if (std::adjacent_find(numbers_.begin(), numbers_.end()) != numbers_.end())
      findings_.invalid(root_.at("logs"), "a sequence_number is given twice");
  }

  void describe_session(LogBatch& batch) const {
    if (session_.empty() || numbers_.empty()) return;
    batch.numbered = true;
    batch.session = key_id(request_.subject, kRoute, {session_});
    batch.first = numbers_.front();
    batch.last = numbers_.back();
    batch.missing = batch.last - batch.first + 1 - numbers_.size();
  }

  void encode(const LogBatch& batch, Accepted& out) const {
    out.type = tracker::RecordType::boundary_keyed;
    tracker::Uuid key;
    std::uint64_t body = 0;
    if (batch.numbered) {
      key = key_id(request_.subject, kRoute, {session_, std::to_string(batch.first), std::to_string(batch.last)});
      std::string canonical;
      detail::BoundaryEvent::append_canonical(sums_, canonical);
      body = body_hash(canonical);
    } else if (request_.idempotency_key) {
      key = key_id(request_.subject, kRoute, {*request_.idempotency_key});
      body = body_hash(request_.body);
    } else {
      out.type = tracker::RecordType::boundary;
      if (counted_ == 0) return;
      tracker::BoundaryEncoder encoder(out.payload);
      encoder.add(sums_);
      encoder.finish();
      return;
    }
    tracker::KeyedEncoder encoder(out.payload);
    encoder.begin_effect(key, body);
    if (counted_ > 0) encoder.add(sums_);
    encoder.finish();
  }

  const Request& request_;
  const Place root_;
  JsonReader reader_;
  Findings findings_;
  tracker::Increment sums_;
  std::string session_;
  std::vector<std::uint64_t> numbers_;
  std::uint32_t logs_ = 0;
  std::uint32_t counted_ = 0;
};

}  // namespace

std::optional<Refusal> read_boundary_logs(const Request& request, Accepted& out, LogBatch& batch) {
  if (detail::media_type(request.content_type) != detail::MediaType::json)
    return Refusal{415, "the content type must be application/json in UTF-8", {}};
  if (auto refusal = detail::check_key(request)) return refusal;
  if (auto refusal = detail::check_body(request)) return refusal;
  return BoundaryLogs(request).read(out, batch);
}

}  // namespace tally::ingest
