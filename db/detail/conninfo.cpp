#include "db/detail/conninfo.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <sstream>

namespace tally::db::detail {
namespace asio = boost::asio;
using tracker::Errc;

namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, FreeOptions>;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (;;) {
    const std::size_t comma = text.find(',', start);
    parts.push_back(text.substr(start, comma - start));
    if (comma == std::string::npos) return parts;
    start = comma + 1;
  }
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : ",") + parts[i];
  return text;
}

bool needs_lookup(const std::string& host) {
  if (host.empty() || host.front() == '/' || host.front() == '@') return false;
  boost::system::error_code bad;
  asio::ip::make_address(host, bad);
  return bad.failed();
}

/// A dead peer must show within seconds, on every path that TCP offers.
void set_defaults(ConnectParameters& parameters) {
  parameters.set_default("fallback_application_name", "tallyd");
  parameters.set_default("client_encoding", "UTF8");
  parameters.set_default("gssencmode", "disable");
  parameters.set_default("keepalives_idle", "10");
  parameters.set_default("keepalives_interval", "5");
  parameters.set_default("keepalives_count", "3");
  parameters.set_default("tcp_user_timeout", "15000");
  if (const std::string* host = parameters.find("host"); host && host->find(',') != std::string::npos) {
    parameters.set_default("target_session_attrs", "read-write");
  }
}

}  // namespace

std::string* ConnectParameters::find(const std::string& keyword) {
  const auto at = std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.first == keyword; });
  return at == items.end() ? nullptr : &at->second;
}

void ConnectParameters::set(const std::string& keyword, std::string value) {
  if (std::string* old = find(keyword)) {
    *old = std::move(value);
  } else {
    items.emplace_back(keyword, std::move(value));
  }
}

void ConnectParameters::set_default(const std::string& keyword, std::string value) {
  if (!find(keyword)) items.emplace_back(keyword, std::move(value));
}

tracker::Result<ConnectParameters> parse_conninfo(const std::string& conninfo, std::string& why) {
  char* error = nullptr;
  const Options parsed(PQconninfoParse(conninfo.c_str(), &error));
  if (!parsed) {
    why = error ? error : "not a connection string";
    PQfreemem(error);
    return Errc::store_refuses;
  }
  ConnectParameters parameters;
  for (const PQconninfoOption* option = parsed.get(); option->keyword; ++option) {
    if (option->val) parameters.items.emplace_back(option->keyword, option->val);
  }
  // Hosts may also come from the environment or a service file; they are needed here for the look-up.
  if (!parameters.find("host") && !parameters.find("hostaddr") && !parameters.find("service")) {
    const Options defaults(PQconndefaults());
    for (const PQconninfoOption* option = defaults.get(); option && option->keyword; ++option) {
      if (option->val && std::string_view(option->keyword) == "host") parameters.set("host", option->val);
    }
  }
  set_defaults(parameters);
  return parameters;
}

asio::awaitable<tracker::Result<ConnectParameters>> resolve_hosts(ConnectParameters parameters, std::string& why) {
  const std::string* host = parameters.find("host");
  if (!host || parameters.find("hostaddr")) co_return parameters;
  const std::vector<std::string> names = split(*host);
  if (std::none_of(names.begin(), names.end(), needs_lookup)) co_return parameters;

  const std::string* port = parameters.find("port");
  const std::vector<std::string> ports = split(port ? *port : std::string());
  std::vector<std::string> hosts, addresses, host_ports;
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& its_port = ports.size() == 1 ? ports[0] : i < ports.size() ? ports[i] : ports.back();
    const auto add = [&](std::string address) {
      hosts.push_back(names[i]);
      addresses.push_back(std::move(address));
      host_ports.push_back(its_port);
    };
    if (!needs_lookup(names[i])) {
      // An empty address makes libpq use the host itself: a socket directory or a literal address.
      add({});
      continue;
    }
    auto [failed, found] = co_await resolver.async_resolve(names[i], "", asio::as_tuple(asio::use_awaitable));
    if (failed) {
      why += "host " + names[i] + ": " + failed.message() + "; ";
      continue;
    }
    std::vector<std::string> seen;
    for (const auto& entry : found) {
      std::string address = entry.endpoint().address().to_string();
      if (std::find(seen.begin(), seen.end(), address) == seen.end()) seen.push_back(std::move(address));
    }
    for (std::string& address : seen) add(std::move(address));
  }
  if (hosts.empty()) co_return Errc::store_unavailable;
  parameters.set("host", join(hosts));
  parameters.set("hostaddr", join(addresses));
  if (port) parameters.set("port", join(host_ports));
  co_return parameters;
}

}  // namespace tally::db::detail
