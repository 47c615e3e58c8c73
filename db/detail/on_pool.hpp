#pragma once
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "db/pool.hpp"

namespace tally::db::detail {

/// Runs `work` on the pool's executor and answers on the caller's. What `work` refers to must outlive it.
template <class T>
boost::asio::awaitable<tracker::Result<T>> on_pool(Pool& pool, boost::asio::awaitable<tracker::Result<T>> work) {
  return boost::asio::co_spawn(pool.executor(), std::move(work), boost::asio::use_awaitable);
}

/// `Result<bool>` cannot be made from an error_code, which converts to bool by itself.
inline tracker::Result<bool> failed_bool(boost::system::error_code error) {
  return {boost::system::in_place_error, error};
}

}  // namespace tally::db::detail
