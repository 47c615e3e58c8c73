#pragma once
#include <cstring>
#include <vector>

#include "daemon/ingest/detail/cloud_event.hpp"
#include "daemon/ingest/key.hpp"

/// What is the same for every kind of event: the forms of a body, keys, findings. A schema is a struct as
/// `BoundaryEvent`.
namespace tally::ingest::detail {

enum class Form { json, ndjson, cloud_event, cloud_event_batch, cloud_event_binary };

/// Decides how the body is to be read, and refuses what no body could make good: 400, 415.
std::optional<Refusal> find_form(const Request& request, Form& out);
/// An `Idempotency-Key`, if there is one, must be a good one: 400.
std::optional<Refusal> check_key(const Request& request);
/// 400 for a body of no bytes, which is not JSON in any form.
std::optional<Refusal> check_body(const Request& request);

/// The key of one CloudEvent and where it stood.
struct CloudEventKey {
  tracker::Uuid id;
  std::uint64_t body = 0;
  std::size_t index = 0;
};
/// Tells events of one batch that share a key and differ.
void find_conflicts(std::vector<CloudEventKey>& keys, Findings& findings);

template <class Schema>
class Envelope {
 public:
  using Event = typename Schema::Event;
  explicit Envelope(const Request& request) : request_(request) {}

  std::optional<Refusal> read(Accepted& out) {
    Form form{};
    if (auto refusal = find_form(request_, form)) return refusal;
    out.payload.clear();
    out.events = 0;
    auto refusal = form == Form::json || form == Form::ndjson ? read_plain(form, out) : read_cloud_events(form, out);
    if (refusal) return refusal;
    if (findings_.any()) return std::move(findings_).refusal();
    return std::nullopt;
  }

 private:
  // The shortest spelling of an event is three times as long as its encoding, so the encoder need not grow.
  std::size_t expected_bytes() const { return request_.body.size() / 3; }

  std::optional<Refusal> read_plain(Form form, Accepted& out) {
    if (request_.idempotency_key) {
      const auto key = key_id(request_.subject, Schema::kRoute, {*request_.idempotency_key});
      typename Schema::KeyedEncoder encoder(out.payload, expected_bytes());
      encoder.begin_effect(key, body_hash(request_.body));
      read_events(form, out, encoder);
      encoder.finish();
      out.type = Schema::kKeyedRecord;
    } else {
      typename Schema::Encoder encoder(out.payload, expected_bytes());
      read_events(form, out, encoder);
      encoder.finish();
      out.type = Schema::kRecord;
      if (out.events == 0) out.payload.clear();
    }
    return std::nullopt;
  }

  template <class Encoder>
  void read_events(Form form, Accepted& out, Encoder& encoder) {
    const auto take = [&](const Event& event) {
      encoder.add(event);
      ++out.events;
    };
    if (form == Form::ndjson)
      read_lines(take);
    else
      read_json(take);
  }

  template <class Take>
  void read_lines(Take&& take) {
    const char* at = request_.body.data();
    const char* const end = at + request_.body.size();
    for (std::size_t line = 0; at < end; ++line) {
      Event event;
      const char* behind = scanner_.template scan<true>(at, end, event);
      while (behind != nullptr && behind < end && (*behind == '\r' || *behind == ' ' || *behind == '\t')) ++behind;
      if (behind != nullptr && (behind == end || *behind == '\n')) [[likely]] {
        take(event);
        at = behind == end ? end : behind + 1;
        continue;
      }
      const auto* const newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
      const char* const line_end = newline != nullptr ? newline : end;
      read_line({at, line_end}, line, take);
      at = newline != nullptr ? newline + 1 : end;
    }
  }

  template <class Take>
  void read_line(std::string_view text, std::size_t line, Take&& take) {
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const Place place = root_.at(line);
    JsonReader reader(text, request_.body.data());
    Event event;
    Schema::read(reader, place, findings_, event);
    reader.expect_end();
    if (reader.failed()) findings_.not_json(place, reader.failure(), reader.failure_offset());
    take(event);
  }

  template <class Take>
  void read_json(Take&& take) {
    JsonReader reader(request_.body, request_.body.data());
    if (reader.peek() != JsonKind::array) {
      take(read_one(reader, root_));
      finish(reader, root_);
      return;
    }
    reader.enter_array();
    std::size_t index = 0;
    while (reader.next_element()) {
      take(read_one(reader, root_.at(index)));
      if (!reader.failed()) ++index;
    }
    finish(reader, root_.at(index));
  }

  Event read_one(JsonReader& reader, const Place& place) {
    Event event;
    reader.peek();
    if (const char* behind = scanner_.template scan<false>(reader.position(), reader.end(), event))
      reader.resume_behind_value(behind);
    else
      Schema::read(reader, place, findings_, event);
    return event;
  }

  void finish(JsonReader& reader, const Place& place) {
    reader.expect_end();
    if (reader.failed()) findings_.not_json(place, reader.failure(), reader.failure_offset());
  }

  std::optional<Refusal> read_cloud_events(Form form, Accepted& out) {
    typename Schema::KeyedEncoder encoder(out.payload, expected_bytes());
    out.type = Schema::kKeyedRecord;
    JsonReader reader(request_.body, request_.body.data());
    if (form == Form::cloud_event_binary) {
      CloudEventAttributes attributes;
      if (auto refusal = read_headers(request_.headers, Schema::kCloudEventType, attributes)) return refusal;
      const Event event = read_one(reader, root_);
      put(attributes, event, 0, encoder);
      finish(reader, root_);
    } else if (form == Form::cloud_event) {
      read_cloud_event(reader, root_, 0, encoder);
      finish(reader, root_);
    } else if (take_array(reader, root_, findings_)) {
      std::size_t index = 0;
      while (reader.next_element()) {
        if (index == kCloudEventLimit) return Refusal{413, "more than 1000 CloudEvents in one batch", {}};
        read_cloud_event(reader, root_.at(index), index, encoder);
        if (!reader.failed()) ++index;
      }
      finish(reader, root_.at(index));
    } else {
      finish(reader, root_);
    }
    find_conflicts(keys_, findings_);
    out.events = encoder.effects();
    encoder.finish();
    if (out.events == 0) out.payload.clear();
    return std::nullopt;
  }

  void read_cloud_event(JsonReader& reader, const Place& place, std::size_t index,
                        typename Schema::KeyedEncoder& encoder) {
    CloudEventAttributes attributes;
    Event event;
    const auto seen =
        take_members(reader, place, findings_, kCloudEventMembers, [&](std::size_t i, const Place& inside) {
          if (i < kCloudEventAttributes)
            attributes.take(i, reader, inside, findings_, Schema::kCloudEventType);
          else
            event = read_one(reader, inside);
        });
    if (!seen) return;
    while (const auto missing = attributes.next_missing())
      findings_.invalid(place.at(kCloudEventMembers[*missing]), "missing");
    if ((*seen >> kCloudEventAttributes & 1) == 0)
      findings_.invalid(place.at(kCloudEventMembers[kCloudEventAttributes]), "missing");
    put(attributes, event, index, encoder);
  }

  void put(const CloudEventAttributes& attributes, const Event& event, std::size_t index,
           typename Schema::KeyedEncoder& encoder) {
    if (findings_.any()) return;
    canonical_.clear();
    Schema::append_canonical(event, canonical_);
    const CloudEventKey key{key_id(request_.subject, Schema::kRoute, {attributes.source(), attributes.id()}),
                            body_hash(canonical_), index};
    encoder.begin_effect(key.id, key.body);
    encoder.add(event);
    keys_.push_back(key);
  }

  const Request& request_;
  const Place root_;
  typename Schema::Scanner scanner_;
  Findings findings_;
  std::vector<CloudEventKey> keys_;
  std::string canonical_;
};

}  // namespace tally::ingest::detail
