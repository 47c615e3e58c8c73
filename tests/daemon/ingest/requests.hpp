#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/ingest/boundary.hpp"
#include "daemon/ingest/key.hpp"

namespace tally::ingest {

inline const std::string kW1 = "11111111-1111-4111-8111-11111111111a";
inline const std::string kW2 = "22222222-2222-4222-8222-22222222222b";
inline const std::string kO1 = "99999999-9999-4999-8999-99999999999c";

inline tracker::Uuid uuid(std::string_view text) {
  return tracker::Uuid::parse(text).value();
}

inline std::string event(std::string_view workspace, std::string_view counts = R"("allowed":2,"denied":1)") {
  return R"({"workspace_id":")" + std::string(workspace) + R"(","owner_id":")" + kO1 + R"(",)" + std::string(counts) +
         "}";
}

/// A request that keeps its own body.
struct OwnedRequest : Request {
  OwnedRequest(std::string_view type, std::string text) : text_(std::make_shared<std::string>(std::move(text))) {
    content_type = type;
    body = *text_;
    subject = KeySubject::system("t");
  }

 private:
  std::shared_ptr<const std::string> text_;
};
inline OwnedRequest json(std::string body) {
  return {"application/json", std::move(body)};
}
inline OwnedRequest ndjson(std::string body) {
  return {"application/x-ndjson", std::move(body)};
}

inline tracker::Uuid key_of(const Request& request) {
  return key_id(request.subject, "boundary-usage/events", {*request.idempotency_key});
}

struct Effect {
  tracker::Uuid key;
  std::uint64_t body = 0;
  std::vector<tracker::Increment> increments;
  friend bool operator==(const Effect&, const Effect&) = default;
};

/// One effect without a key for a `boundary` record.
inline std::vector<Effect> effects(const Accepted& accepted) {
  std::vector<Effect> out;
  const auto bytes = std::as_bytes(std::span(accepted.payload));
  const auto on_increment = [&](const tracker::Increment& increment) { out.back().increments.push_back(increment); };
  if (!accepted.needs_record()) return out;
  if (accepted.type == tracker::RecordType::boundary) {
    out.emplace_back();
    EXPECT_TRUE(tracker::for_each_increment(accepted.type, bytes, on_increment));
  } else {
    EXPECT_EQ(accepted.type, tracker::RecordType::boundary_keyed);
    EXPECT_TRUE(tracker::for_each_effect(
        bytes,
        [&](const tracker::Uuid& key, std::uint64_t body, std::uint32_t) {
          out.push_back({key, body, {}});
        },
        on_increment));
  }
  return out;
}

inline std::vector<tracker::Increment> increments(const Accepted& accepted) {
  std::vector<tracker::Increment> out;
  for (const Effect& effect : effects(accepted))
    out.insert(out.end(), effect.increments.begin(), effect.increments.end());
  return out;
}

/// The answer in one line: "202 3", or the status and its problems as "422 /0/allowed: negative".
inline std::string verdict(const std::optional<Refusal>& refusal, const Accepted& accepted) {
  if (!refusal) return "202 " + std::to_string(accepted.events);
  std::string text = std::to_string(refusal->status);
  for (const Problem& problem : refusal->errors) text += " " + problem.pointer + ": " + problem.detail;
  return text;
}

inline std::string verdict(const Request& request) {
  Accepted accepted;
  return verdict(read_boundary_events(request, accepted), accepted);
}

}  // namespace tally::ingest
