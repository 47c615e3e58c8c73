#include "db/detail/connection_sql.hpp"

#include <algorithm>

namespace tally::db::detail {
namespace {

using tracker::Uuid;

/// The condition that an entry must meet, and what it is looked up by.
class Search {
 public:
  Search(const ConnectionPageRequest& request, const ResolvedFilter& resolved, Params& params)
      : filter_(request.filter), params_(params) {
    restrict_organizations(request.rights, resolved);
    if (!filter_.types.empty()) one_or_each("type", "text", resolved.types, "t", has_organizations_);
    if (wants_owner(filter_)) ids("workspace_owner_id", resolved.owners);
    if (wants_user(filter_)) ids("user_id", resolved.users);
    if (filter_.workspace) add("c.workspace_id = " + uuid(*filter_.workspace));
    if (filter_.connection) add("c.connection_id = " + uuid(*filter_.connection));
    if (filter_.status) add(filter_.status == ConnectionFilter::Status::ongoing ? "c.state = 1" : "c.state = 2");
    if (filter_.connected_after_us) add("c.at >= " + time(*filter_.connected_after_us));
    if (filter_.connected_before_us) add("c.at <= " + time(*filter_.connected_before_us));
  }

  static bool wants_owner(const ConnectionFilter& filter) {
    return filter.workspace_owner || filter.workspace_owner_email;
  }
  static bool wants_user(const ConnectionFilter& filter) { return filter.username || filter.user_email; }

  void only_behind(const ConnectionCursor& place) {
    const std::string at = time(place.at_us);
    const std::string entry = uuid(place.entry);
    add("(c.at, c.entry) < (" + at + ", " + entry + ")");
  }

  /// Time and key of the matching entries, newest first, `limit` of them behind `offset`. No more of them, since an
  /// index has that much: rows are only fetched for what is shown.
  std::string newest(std::int64_t limit, std::int64_t offset) {
    const std::string order = " ORDER BY c.at DESC, c.entry DESC";
    std::string found = "SELECT c.at, c.entry FROM tallyd.connection_logs c" + where() + order;
    if (lists_.empty()) return found + " LIMIT " + number(limit) + " OFFSET " + number(offset);
    std::string from;
    for (const std::string& list : lists_) from += (from.empty() ? "" : ", ") + list;
    found = "SELECT c.* FROM " + from + ", LATERAL (" + found + " LIMIT " + number(limit + offset) + ") c";
    return found + order + " LIMIT " + number(limit) + " OFFSET " + number(offset);
  }

  std::string counted(std::int64_t cap) {
    const std::string limit = " LIMIT " + number(cap);
    std::string found = "SELECT FROM tallyd.connection_logs c" + where() + " ORDER BY c.at DESC, c.entry DESC" + limit;
    if (!lists_.empty()) {
      std::string from;
      for (const std::string& list : lists_) from += (from.empty() ? "" : ", ") + list;
      found = "SELECT FROM " + from + ", LATERAL (" + found + ") c" + limit;
    }
    return "SELECT count(*) AS entries FROM (" + found + ") q";
  }

 private:
  /// It is looked up by something that has few entries: lists are then only compared with.
  bool is_narrow() const {
    return filter_.workspace || filter_.connection || wants_owner(filter_) || wants_user(filter_);
  }

  void restrict_organizations(const ConnectionRights& rights, const ResolvedFilter& resolved) {
    const bool asked = filter_.organization || filter_.organization_name;
    if (rights.other) {
      if (asked) ids("organization_id", resolved.organizations);
      const auto* table = authz::find_table("connection_logs");
      auto condition = authz::to_sql(*rights.other, *table, static_cast<std::size_t>(params_.size()) + 1, "c.");
      for (const std::string& param : condition.params) params_.spelt(param);
      add(std::move(condition.where));
      return;
    }
    if (rights.all && !asked) return;
    has_organizations_ = true;
    const bool only_compare = !filter_.types.empty();
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
  Params& params_;
  std::vector<std::string> conditions_;
  std::vector<std::string> lists_;
  bool has_organizations_ = false;
};

constexpr const char* kShown = R"sql(
  SELECT k.entries, p.at, p.entry, p.id, p.organization_id, o.name, p.workspace_owner_id, w.username, p.workspace_id, p.workspace_name,
         p.agent_name, p.type, host(p.ip), p.user_agent, p.user_id, u.username, p.slug_or_port, p.connection_id,
         p.first_connect, p.disconnect, p.code, p.reason, p.state, p.lost_at, get_byte(p.said_first, 8)
    FROM counted k
    LEFT JOIN page f ON true
    LEFT JOIN tallyd.connection_logs p ON p.entry = f.entry
    LEFT JOIN tallyd.organizations o ON o.id = p.organization_id
    LEFT JOIN tallyd.users w ON w.id = p.workspace_owner_id
    LEFT JOIN tallyd.users u ON u.id = p.user_id
   ORDER BY p.at DESC, p.entry DESC)sql";

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
  if (request.after) search.only_behind(*request.after);
  made.sql = "WITH counted AS MATERIALIZED (" + counted + "), page AS MATERIALIZED (" +
             search.newest(request.limit + 1, request.offset) + ")" + kShown;
  return made;
}

}  // namespace tally::db::detail
