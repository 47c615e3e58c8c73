#include "daemon/ingest/detail/boundary_event.hpp"

namespace tally::ingest::detail {
namespace {

enum Member : std::size_t { workspace_id, owner_id, allowed, denied, time };
constexpr std::string_view kMembers[] = {"workspace_id", "owner_id", "allowed", "denied", "time"};

}  // namespace

void BoundaryEvent::read(JsonReader& reader, const Place& place, Findings& findings, Event& out) {
  out = {};
  const auto seen = take_members(reader, place, findings, kMembers, [&](std::size_t member, const Place& inside) {
    switch (static_cast<Member>(member)) {
      case workspace_id:
        take_uuid(reader, inside, findings, out.workspace);
        break;
      case owner_id:
        take_uuid(reader, inside, findings, out.owner);
        break;
      case allowed:
        take_count(reader, inside, findings, out.allowed);
        break;
      case denied:
        take_count(reader, inside, findings, out.denied);
        break;
      case time:
        take_time(reader, inside, findings);
        break;
    }
  });
  if (!seen) return;
  for (const Member id : {workspace_id, owner_id})
    if ((*seen >> id & 1) == 0) findings.invalid(place.at(kMembers[id]), "missing");
  if ((*seen & (1u << allowed | 1u << denied)) == 0) findings.invalid(place, "one of allowed and denied must be there");
}

void BoundaryEvent::append_canonical(const Event& event, std::string& out) {
  const auto append = [&](const auto& field) { out.append(reinterpret_cast<const char*>(&field), sizeof field); };
  append(event.workspace.bytes);
  append(event.owner.bytes);
  append(event.allowed);
  append(event.denied);
}

}  // namespace tally::ingest::detail
