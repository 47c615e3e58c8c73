#include "db/detail/connection_sql.hpp"

#include <algorithm>

#include "tracker/connection.hpp"

namespace tally::db::detail {
namespace {

using tracker::Uuid;

/// The condition that an entry must meet, and what it is looked up by.
class Search {
 public:
  Search(const ConnectionPageRequest& request, const ResolvedFilter& resolved, Params& params)
      : filter_(request.filter), only_some_(!request.entries.empty()), params_(params) {
    restrict_organizations(request.rights, resolved);
    if (!filter_.types.empty()) one_or_each("type", "text", resolved.types, "t", only_ongoing());
    if (wants_owner(filter_)) ids("workspace_owner_id", resolved.owners);
    if (wants_user(filter_)) ids("user_id", resolved.users);
    if (!request.entries.empty()) add("c.entry = ANY (" + values(request.entries) + ")");
    if (filter_.workspace) add("c.workspace_id = " + uuid(*filter_.workspace));
    if (filter_.connection) {
      const auto [first, last] = tracker::entries_of(*filter_.connection);
      add("c.entry >= " + uuid(first) + " AND c.entry <= " + uuid(last));
      add("c.connection_id = " + uuid(*filter_.connection));
    }
    if (filter_.status) add(filter_.status == ConnectionFilter::Status::ongoing ? "c.state = 1" : "c.state = 2");
    if (filter_.connected_after_us) add("c.at >= " + time(*filter_.connected_after_us));
    if (filter_.connected_before_us) add("c.at <= " + time(*filter_.connected_before_us));
  }

  static bool wants_owner(const ConnectionFilter& filter) {
    return filter.workspace_owner || filter.workspace_owner_email;
  }
  static bool wants_user(const ConnectionFilter& filter) { return filter.username || filter.user_email; }

  /// Time and key of the matching entries, newest first, `limit` of them behind `offset`. No more of them, since an
  /// index has that much: rows are only fetched for what is shown.
  std::string newest(std::int64_t limit, std::int64_t offset) {
    const std::string order = " ORDER BY c.at DESC, c.entry DESC";
    std::string found = "SELECT c.at, c.entry FROM tallyd.connection_logs c" + where() + order;
    if (lists_.empty()) return found + " LIMIT " + number(limit) + " OFFSET " + number(offset);
    found = "SELECT c.* FROM " + lists() + ", LATERAL (" + found + " LIMIT " + number(limit + offset) + ") c";
    return found + order + " LIMIT " + number(limit) + " OFFSET " + number(offset);
  }

  /// The same behind a cursor: what has moved since its first page is found where it stood then, and nowhere else.
  std::string newest_behind(const ConnectionCursor& cursor, std::int64_t limit) {
    const std::string behind = " < (" + time(cursor.place.at_us) + ", " + uuid(cursor.place.entry) + ")";
    const std::string moved = "SELECT m.at, m.entry FROM moved m, LATERAL (SELECT FROM tallyd.connection_logs c" +
                              (lists_.empty() ? "" : ", " + lists()) + where() +
                              (conditions_.empty() ? " WHERE " : " AND ") +
                              "c.entry = m.entry LIMIT 1) c WHERE (m.at, m.entry)" + behind;
    add("(c.at, c.entry)" + behind);
    add("c.entry NOT IN (SELECT m.entry FROM moved m)");
    return "SELECT q.at, q.entry FROM ((" + newest(limit, 0) + ") UNION ALL (" + moved +
           ")) q ORDER BY q.at DESC, q.entry DESC LIMIT " + number(limit);
  }

  /// Where entries that moved later than the cursor's first page stood then.
  std::string moved_since(const ConnectionCursor& cursor) {
    params_.literal(cursor.snapshot);
    const std::string snapshot = last() + "::pg_snapshot";
    return "SELECT DISTINCT ON (m.entry) m.entry, m.from_at AS at FROM tallyd.connection_log_moves m"
           " WHERE m.moved_by >= pg_snapshot_xmin(" +
           snapshot + ") AND NOT pg_visible_in_snapshot(m.moved_by, " + snapshot + ") ORDER BY m.entry, m.moved_by";
  }

  std::string counted(std::int64_t cap) {
    const std::string limit = " LIMIT " + number(cap);
    std::string found = "SELECT FROM tallyd.connection_logs c" + where() + " ORDER BY c.at DESC, c.entry DESC" + limit;
    if (!lists_.empty()) found = "SELECT FROM " + lists() + ", LATERAL (" + found + ") c" + limit;
    return "SELECT count(*) AS entries FROM (" + found + ") q";
  }

 private:
  /// It is looked up by something that has few entries: lists are then only compared with.
  bool is_narrow() const {
    return only_some_ || filter_.workspace || filter_.connection || wants_owner(filter_) || wants_user(filter_);
  }

  bool only_ongoing() const { return filter_.status == ConnectionFilter::Status::ongoing; }

  void restrict_organizations(const ConnectionRights& rights, const ResolvedFilter& resolved) {
    const bool asked = filter_.organization || filter_.organization_name;
    if (rights.other) {
      if (asked) ids("organization_id", resolved.organizations);
      const auto* table = authz::find_table("connection_logs");
      auto condition = authz::to_sql(*rights.other, *table, static_cast<std::size_t>(params_.size()) + 1, "c.");
      for (const std::string& param : condition.params) params_.literal(param);
      add(std::move(condition.where));
      return;
    }
    if (rights.all && !asked) return;
    const bool only_compare = only_ongoing();
    const auto& list = asked ? resolved.organizations : rights.organizations;
    if (asked && !rights.all)
      one_or_each("organization_id", "uuid", shared(list, rights.organizations), "o", only_compare);
    else
      one_or_each("organization_id", "uuid", list, "o", only_compare);
  }

  static std::vector<Uuid> shared(const std::vector<Uuid>& some, const std::vector<Uuid>& others) {
    std::vector<Uuid> both;
    for (const Uuid& id : some)
      if (std::find(others.begin(), others.end(), id) != others.end()) both.push_back(id);
    return both;
  }

  template <class T>
  void one_or_each(const std::string& column, const std::string& type, const std::vector<T>& list,
                   const std::string& alias, bool only_compare) {
    if (list.size() == 1) return add("c." + column + " = " + value(list.front()));
    const std::string array = values(list);
    if (only_compare || is_narrow()) return add("c." + column + " = ANY (" + array + ")");
    lists_.push_back("unnest(" + array + ") AS " + alias + "(" + type + "_of)");
    add("c." + column + " = " + alias + "." + type + "_of");
  }

  void ids(const std::string& column, const std::vector<Uuid>& list) {
    if (list.size() == 1) return add("c." + column + " = " + value(list.front()));
    add("c." + column + " = ANY (" + values(list) + ")");
  }

  void add(std::string condition) { conditions_.push_back(std::move(condition)); }
  std::string where() const {
    std::string text;
    for (const std::string& condition : conditions_) text += (text.empty() ? " WHERE " : " AND ") + condition;
    return text;
  }

  std::string lists() const {
    std::string from;
    for (const std::string& list : lists_) from += (from.empty() ? "" : ", ") + list;
    return from;
  }

  std::string last() const { return "$" + std::to_string(params_.size()); }
  std::string uuid(const Uuid& id) {
    params_.uuid(id);
    return last();
  }
  std::string time(std::int64_t us) {
    params_.timestamptz(us);
    return last();
  }
  std::string number(std::int64_t n) {
    params_.int8(n);
    return last();
  }
  std::string value(const Uuid& id) { return uuid(id); }
  std::string value(const std::string& text) {
    params_.text(text);
    return last();
  }
  std::string values(const std::vector<Uuid>& ids) {
    params_.uuids(ids);
    return last();
  }
  std::string values(const std::vector<std::string>& texts) {
    params_.texts(texts);
    return last();
  }

  const ConnectionFilter& filter_;
  bool only_some_;
  Params& params_;
  std::vector<std::string> conditions_;
  std::vector<std::string> lists_;
};

constexpr const char* kShown = R"sql(
  SELECT k.entries, f.at, f.entry, p.id, p.organization_id, o.name, p.workspace_owner_id, w.username, p.workspace_id, p.workspace_name,
         p.agent_name, p.type, host(p.ip), p.user_agent, p.user_id, u.username, p.slug_or_port, p.connection_id,
         p.first_connect, p.disconnect, coalesce(p.code, p.connect_code), CASE WHEN p.state = 1 THEN p.reason ELSE coalesce(p.reason, p.connect_reason) END, p.state, p.lost_at, get_byte(p.said_first, 8),
         pg_current_snapshot()::text
    FROM counted k
    LEFT JOIN page f ON true
    LEFT JOIN tallyd.connection_logs p ON p.entry = f.entry
    LEFT JOIN tallyd.organizations o ON o.id = p.organization_id
    LEFT JOIN tallyd.users w ON w.id = p.workspace_owner_id
    LEFT JOIN tallyd.users u ON u.id = p.user_id
   ORDER BY f.at DESC, f.entry DESC)sql";

}  // namespace

bool matches_nothing(const ConnectionPageRequest& request, const ResolvedFilter& resolved) {
  const ConnectionFilter& filter = request.filter;
  const bool organization_asked = filter.organization || filter.organization_name;
  if (request.rights.none()) return true;
  if (organization_asked && resolved.organizations.empty()) return true;
  if (organization_asked && !request.rights.all && !request.rights.other &&
      std::none_of(resolved.organizations.begin(), resolved.organizations.end(), [&](const Uuid& id) {
        const auto& list = request.rights.organizations;
        return std::find(list.begin(), list.end(), id) != list.end();
      }))
    return true;
  return (Search::wants_owner(filter) && resolved.owners.empty()) ||
         (Search::wants_user(filter) && resolved.users.empty()) || (!filter.types.empty() && resolved.types.empty());
}

ConnectionStatement page_statement(const ConnectionPageRequest& request, const ResolvedFilter& resolved) {
  ConnectionStatement made;
  Search search(request, resolved, made.params);
  const std::string counted =
      request.count_cap > 0 ? search.counted(request.count_cap) : std::string("SELECT 0::bigint AS entries");
  const std::string moved =
      request.after ? "), moved AS MATERIALIZED (" + search.moved_since(*request.after) : std::string();
  const std::string page = request.after ? search.newest_behind(*request.after, request.limit + 1)
                                         : search.newest(request.limit + 1, request.offset);
  made.sql = "WITH counted AS MATERIALIZED (" + counted + moved + "), page AS MATERIALIZED (" + page + ")" + kShown;
  return made;
}

}  // namespace tally::db::detail
