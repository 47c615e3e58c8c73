#include "daemon/api/ingest_answers.hpp"
#include "daemon/ingest/connections.hpp"
#include "tracker/connection.hpp"
#include "tracker/rules.hpp"

namespace tally::daemon::api {
namespace {

using http::Status;
using metrics::EventKind;
using metrics::IngestResult;
using tracker::GroupKey;

/// Told only now that the events are durable.
void tell_sinks(Context& context, std::string_view payload) {
  if (context.connection_sinks.others.empty()) return;
  tracker::for_each_connection(
      std::as_bytes(std::span(payload)), [](const std::optional<GroupKey>&, std::uint32_t) {},
      [&](const tracker::ConnectionEvent& event) {
        for (const auto& sink : context.connection_sinks.others) sink->take(event);
      });
}

/// One ingest request between its record's submission and its answer.
struct ConnectionRecord final : PendingRecord {
  ConnectionRecord(Context& where, std::uint32_t on, http::Responder answers)
      : context(where), thread(on), responder(std::move(answers)) {}
  Context& context;
  std::uint32_t thread;
  http::Responder responder;
  std::vector<GroupKey> keys;

  void settled() override {
    if (error) {
      context.ingest_metrics.events(thread, EventKind::connection, IngestResult::unavailable, volume.events);
      return responder.answer(not_journalled(error));
    }
    const auto now = context.clock.steady();
    for (const GroupKey& key : keys) context.keys.remember(key.key, key.body, now);
    context.ingest_metrics.events(thread, EventKind::connection, IngestResult::accepted, volume.events);
    tell_sinks(context, payload);
    responder.answer(accepted(static_cast<std::uint32_t>(volume.events)));
  }
};

/// What the memory of keys says of all of them together.
tracker::KeyMemory::Known known_keys(Context& context, const std::vector<GroupKey>& keys) {
  using Known = tracker::KeyMemory::Known;
  const auto now = context.clock.steady();
  Known all = Known::same;
  for (const GroupKey& key : keys) {
    const Known known = context.keys.look_up(key.key, key.body, now);
    if (known == Known::conflict) return known;
    if (known == Known::no) all = known;
  }
  return all;
}

/// Whose events the caller may report: an agent its workspace's, others those of organizations in which they may.
class Right {
 public:
  explicit Right(const Caller& caller)
      : caller_(caller), everywhere_(!caller.token.agent && may(authz::Object{.type = authz::Type::connection_log})) {}

  bool everywhere() const { return everywhere_; }
  bool admits(const tracker::ConnectionEvent& event) {
    if (everywhere_) return true;
    if (caller_.token.agent) return admits_event(caller_, event.workspace, event.owner);
    if (admitted_ != event.organization) {
      const std::string organization = event.organization.to_string();
      authz::Object object{.type = authz::Type::connection_log};
      object.org = organization;
      if (!may(object)) return false;
      admitted_ = event.organization;
    }
    return true;
  }
  std::string_view refusal() const { return caller_.token.agent ? kOwnOnly : kOwnOrganizationsOnly; }

 private:
  static constexpr std::string_view kOwnOrganizationsOnly =
      "The token does not give the right for every organization in it.";
  bool may(const authz::Object& object) const {
    return authz::decide(caller_.subject, authz::Action::update, object).allowed;
  }
  const Caller& caller_;
  bool everywhere_;
  std::optional<tracker::Uuid> admitted_;  // the organization that was asked for last
};

}  // namespace

void post_connection_events(Context& context, http::Request& request, http::Responder responder) {
  const IngestBody body(request);
  ingest::Accepted parsed;
  if (const auto refusal = ingest::read_connection_events(body.request(), parsed))
    return responder.answer(refuse(context, request, EventKind::connection, *refusal));

  auto record = std::make_unique<ConnectionRecord>(context, request.thread, std::move(responder));
  Right right(request.subject_as<Caller>());
  const auto payload = std::as_bytes(std::span(parsed.payload));
  bool own = true;
  if (!right.everywhere() || tracker::has_keys(payload))
    tracker::for_each_connection(
        payload,
        [&](const std::optional<GroupKey>& key, std::uint32_t) {
          if (key) record->keys.push_back(*key);
        },
        [&](const tracker::ConnectionEvent& event) { own = own && right.admits(event); });
  if (!own) {
    context.ingest_metrics.events(request.thread, EventKind::connection, IngestResult::invalid);
    return record->responder.answer(http::problem(Status::forbidden, right.refusal()));
  }
  if (!parsed.needs_record()) return record->responder.answer(accepted(parsed.events));
  if (!context.connection_sinks.database) {
    context.ingest_metrics.events(request.thread, EventKind::connection, IngestResult::accepted, parsed.events);
    tell_sinks(context, parsed.payload);
    return record->responder.answer(accepted(parsed.events));
  }
  if (!record->keys.empty()) {
    if (!context.heart.registered() && tracker::holds("S5.registered")) return record->responder.answer(keys_not_yet());
    switch (known_keys(context, record->keys)) {
      case tracker::KeyMemory::Known::same:
        context.ingest_metrics.duplicates(request.thread, EventKind::connection, parsed.events);
        return record->responder.answer(accepted(parsed.events));
      case tracker::KeyMemory::Known::conflict:
        context.ingest_metrics.key_conflicts(request.thread);
        context.ingest_metrics.events(request.thread, EventKind::connection, IngestResult::invalid);
        return record->responder.answer(key_conflict());
      case tracker::KeyMemory::Known::no:
        break;
    }
  }
  record->type = parsed.type;
  record->payload = std::move(parsed.payload);
  record->volume.events = record->volume.connection_events = parsed.events;
  context.intake.add(request.thread, std::move(record));
}

}  // namespace tally::daemon::api
