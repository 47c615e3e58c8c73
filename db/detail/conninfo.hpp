#pragma once
#include <boost/asio/awaitable.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tracker/errors.hpp"

namespace tally::db::detail {

/// Keywords and values for PQconnectStartParams.
struct ConnectParameters {
  std::vector<std::pair<std::string, std::string>> items;
  std::string* find(const std::string& keyword);
  void set(const std::string& keyword, std::string value);
  void set_default(const std::string& keyword, std::string value);
};

/// Parses a URL or keywords. `store_refuses` with `why` set: not understood.
tracker::Result<ConnectParameters> parse_conninfo(const std::string& conninfo, std::string& why);

/// libpq would look host names up inside PQconnectPoll, blocking; so they are looked up here and handed over as
/// addresses, each host once per address. Hosts without an answer are left out; `store_unavailable`: none is left.
boost::asio::awaitable<tracker::Result<ConnectParameters>> resolve_hosts(ConnectParameters parameters,
                                                                         std::string& why);

}  // namespace tally::db::detail
