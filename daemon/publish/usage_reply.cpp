#include "daemon/publish/usage_reply.hpp"

#include <simdjson.h>

#include <algorithm>
#include <unordered_map>

#include "daemon/api/render.hpp"
#include "daemon/publish/retry_wait.hpp"

namespace tally::daemon {
namespace {

using db::UsageOutcome;
using std::chrono::milliseconds;

/// The whole batch had the same fate, so its events wait alike and are sent together again: soon, for most of them may
/// owe it to another (the publisher waits for a collector that takes nothing). One that was alone has failed by itself.
void all_alike(UsageVerdict& verdict, UsageOutcome::Kind kind, double random, std::optional<milliseconds> asked_for) {
  const std::int64_t attempt = verdict.outcomes.size() == 1 ? verdict.outcomes.front().attempt : 1;
  const milliseconds wait = retry_wait(attempt, random, asked_for);
  for (UsageOutcome& outcome : verdict.outcomes) {
    outcome.kind = kind;
    outcome.wait = wait;
    outcome.message = verdict.problem;
  }
}

/// The members of the answer, read leniently: what is not as it should be says nothing.
class Reply {
 public:
  explicit Reply(UsageVerdict& verdict) : verdict_(verdict) {
    for (UsageOutcome& outcome : verdict.outcomes) by_id_.emplace(outcome.id, &outcome);
  }

  /// False: it is not the object that it should be.
  bool read(const std::string& body) {
    simdjson::dom::parser parser;
    simdjson::dom::object root;
    simdjson::dom::array accepted, rejected;
    const simdjson::padded_string padded(body);
    if (parser.parse(padded).get(root) != simdjson::SUCCESS) return false;
    const bool has_accepted = root["accepted_events"].get(accepted) == simdjson::SUCCESS;
    const bool has_rejected = root["rejected_events"].get(rejected) == simdjson::SUCCESS;
    if (!has_accepted && !has_rejected) return false;
    if (has_rejected) read_rejected(rejected);
    if (has_accepted) read_accepted(accepted);  // last: what was accepted was
    return true;
  }

 private:
  UsageOutcome* find(simdjson::dom::element entry) {
    std::string_view id;
    if (entry["id"].get(id) != simdjson::SUCCESS) return nullptr;
    const auto found = by_id_.find(id);
    if (found != by_id_.end()) return found->second;
    ++verdict_.strangers;
    return nullptr;
  }

  void read_accepted(simdjson::dom::array entries) {
    for (const simdjson::dom::element entry : entries) {
      UsageOutcome* const outcome = find(entry);
      if (!outcome) continue;
      outcome->kind = UsageOutcome::Kind::published;
      outcome->message.clear();
    }
  }

  void read_rejected(simdjson::dom::array entries) {
    for (const simdjson::dom::element entry : entries) {
      UsageOutcome* const outcome = find(entry);
      if (!outcome) continue;
      std::string_view message;
      bool permanent = false;
      if (entry["message"].get(message) != simdjson::SUCCESS || message.empty()) message = "rejected without a reason";
      outcome->message = excerpt(message);
      if (entry["permanent"].get(permanent) == simdjson::SUCCESS && permanent)
        outcome->kind = UsageOutcome::Kind::rejected;
    }
  }

  UsageVerdict& verdict_;
  std::unordered_map<std::string_view, UsageOutcome*> by_id_;
};

}  // namespace

UsageVerdict judge(const std::vector<db::UsageEventRow>& sent, const client::Exchange& exchange, double random,
                   std::optional<milliseconds> asked_for) {
  using Kind = UsageOutcome::Kind;
  UsageVerdict verdict;
  for (const db::UsageEventRow& event : sent) {
    UsageOutcome outcome;
    outcome.id = event.id;
    outcome.attempt = event.attempts;
    outcome.message = "the collector's answer does not name it";
    outcome.wait = retry_wait(event.attempts, random, asked_for);
    verdict.outcomes.push_back(std::move(outcome));
  }
  if (exchange.status / 100 == 2 && exchange.complete) {
    if (Reply(verdict).read(exchange.body)) return verdict;
    verdict.problem =
        "answered " + std::to_string(exchange.status) + " with what is no answer: " + excerpt(exchange.body);
    all_alike(verdict, Kind::unknown, random, asked_for);
    return verdict;
  }
  verdict.problem = exchange.problem;
  if (exchange.status != 0)
    verdict.problem =
        "answered " + std::to_string(exchange.status) + (exchange.body.empty() ? "" : ": " + excerpt(exchange.body));
  // A refusal took nothing. Whoever failed or did not answer may have taken it all.
  const bool refused = exchange.status >= 300 && exchange.status < 500;
  all_alike(verdict, exchange.sent && !refused ? Kind::unknown : Kind::refused, random, asked_for);
  return verdict;
}

std::string usage_batch_json(const std::vector<db::UsageEventRow>& events) {
  std::string text = R"({"events":[)";
  for (const db::UsageEventRow& event : events) {
    if (text.back() == '}') text += ',';
    text += R"({"id":)";
    http::append_json_string(text, event.id);
    text += R"(,"event_type":)";
    http::append_json_string(text, event.event_type);
    text += R"(,"event_data":)" + event.event_data;
    text += R"(,"created_at":")" + api::rfc3339(event.created_at_us) + R"("})";
  }
  return text + "]}";
}

}  // namespace tally::daemon
