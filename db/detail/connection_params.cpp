#include "db/detail/connection_params.hpp"

#include <algorithm>
#include <boost/unordered/unordered_flat_set.hpp>

#include "tracker/accumulator.hpp"

namespace tally::db::detail {
namespace {

using tracker::ConnectionEntry;
using tracker::Uuid;

std::string rank_bytes(const tracker::EventRank& rank) {
  const auto bytes = rank.to_bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The rows of all entries, a column each.
class Columns {
 public:
  void add(std::int32_t effect, const ConnectionEntry& entry) {
    effects_.push_back(effect);
    entries_.push_back(entry.entry);
    ids_.push_back(entry.id);
    organizations_.push_back(entry.organization);
    owners_.push_back(entry.owner);
    workspaces_.push_back(entry.workspace);
    workspace_names_.emplace_back(entry.workspace_name);
    agent_names_.emplace_back(entry.agent_name);
    types_.emplace_back(entry.type);
    connections_.push_back(entry.connection);
    first_connects_.push_back(entry.first_connect_us);
    last_connects_.push_back(entry.last_connect_us);
    add_end(entry);
    said_first_.push_back(rank_bytes(entry.first));
    add_said(entry, entry.ip, ips_, ips_said_);
    add_said(entry, entry.user_agent, user_agents_, user_agents_said_);
    add_said(entry, entry.user, users_, users_said_);
    add_said(entry, entry.slug_or_port, slugs_, slugs_said_);
    add_said(entry, entry.connect_code, connect_codes_, connect_codes_said_);
    add_said(entry, entry.connect_reason, connect_reasons_, connect_reasons_said_);
  }

  void put(Params& params) const {
    params.boolean(repeats()).int4s(effects_);
    params.uuids(entries_).uuids(ids_).uuids(organizations_).uuids(owners_).uuids(workspaces_);
    params.texts(workspace_names_).texts(agent_names_).texts(types_).uuids(connections_);
    params.timestamptzs(first_connects_).timestamptzs(last_connects_);
    params.timestamptzs(disconnects_).int8s(codes_).texts(reasons_).uuids(disconnect_hashes_);
    params.texts(ips_).texts(user_agents_).uuids(users_).texts(slugs_);
    params.byteas(said_first_).byteas(ips_said_).byteas(user_agents_said_).byteas(users_said_).byteas(slugs_said_);
    params.int8s(connect_codes_).texts(connect_reasons_).byteas(connect_codes_said_).byteas(connect_reasons_said_);
  }

 private:
  void add_end(const ConnectionEntry& entry) {
    const auto& end = entry.end;
    disconnects_.push_back(end ? std::optional(end->time_us) : std::nullopt);
    codes_.push_back(end ? end->code : std::nullopt);
    reasons_.push_back(end && end->reason ? std::optional<std::string_view>(*end->reason) : std::nullopt);
    disconnect_hashes_.push_back(end ? std::optional(end->hash) : std::nullopt);
  }

  template <class T, class Column>
  static void add_said(const ConnectionEntry& entry, const std::optional<tracker::Said<T>>& said,
                       std::vector<std::optional<Column>>& values, std::vector<std::optional<std::string>>& ranks) {
    values.push_back(said ? std::optional<Column>(said->value) : std::nullopt);
    ranks.push_back(said && said->by != entry.first ? std::optional(rank_bytes(said->by)) : std::nullopt);
  }

  /// Whether an entry is there more than once.
  bool repeats() const {
    boost::unordered_flat_set<Uuid, tracker::UuidHash> seen;
    return std::any_of(entries_.begin(), entries_.end(), [&](const Uuid& entry) { return !seen.insert(entry).second; });
  }

  std::vector<std::int32_t> effects_;
  std::vector<Uuid> entries_, ids_, organizations_, owners_, workspaces_;
  std::vector<std::optional<std::string_view>> workspace_names_, agent_names_, types_, reasons_, ips_, user_agents_,
      slugs_, connect_reasons_;
  std::vector<std::optional<Uuid>> connections_, disconnect_hashes_, users_;
  std::vector<std::optional<std::int64_t>> first_connects_, last_connects_, disconnects_, codes_, connect_codes_;
  std::vector<std::string> said_first_;
  std::vector<std::optional<std::string>> ips_said_, user_agents_said_, users_said_, slugs_said_, connect_codes_said_,
      connect_reasons_said_;
};

}  // namespace

void add_connections(Params& params, const tracker::FlushBatch& batch) {
  Columns columns;
  for (const ConnectionEntry& entry : batch.connections) columns.add(0, entry);
  std::int32_t number = 0;
  for (const tracker::KeyedEffect& effect : batch.effects) {
    ++number;
    for (const ConnectionEntry& entry : effect.connections) columns.add(number, entry);
  }
  params.int8(static_cast<std::int64_t>(batch.connection_events));
  columns.put(params);
}

}  // namespace tally::db::detail
