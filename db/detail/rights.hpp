#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string_view>
#include <vector>

#include "db/detail/on_pool.hpp"
#include "db/pool.hpp"

/// How rights are changed: one after the other.
namespace tally::db::detail {

inline constexpr std::chrono::milliseconds kRightsTimeout{5'000};

/// Organization and name of the custom role that a parameter calls `name:organization`.
#define TALLY_ROLE_KEY(param) "split_part(" param ", ':', 2)::uuid, split_part(" param ", ':', 1)"

/// First in every change. Whoever holds it sees all changes before its own, and versions become visible in their order:
/// nobody who asks for what came after N can miss a change that commits later with a number below N.
inline constexpr Query kLockRights{"lock_rights", R"sql(
  SELECT version FROM tallyd.rights_version WHERE one FOR UPDATE
)sql"};

/// Not inside a coroutine: GCC 12 destroys the elements of a braced list there twice.
inline std::vector<Statement> locked(const Query& query, Params params) {
  std::vector<Statement> statements(2);
  statements[0].query = &kLockRights;
  statements[1].query = &query;
  statements[1].params = std::move(params);
  return statements;
}

/// Runs `query` while no other right can change, and answers its rows.
inline boost::asio::awaitable<tracker::Result<Rows>> change_rights(Pool& pool, const Query& query, Params params) {
  const std::vector<Statement> statements = locked(query, std::move(params));
  tracker::Result<std::vector<Rows>> results = co_await pool.transact(statements, kRightsTimeout);
  if (!results) co_return results.error();
  co_return std::move(results->back());
}

}  // namespace tally::db::detail
