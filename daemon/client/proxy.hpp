#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "daemon/client/url.hpp"

namespace tally::daemon::client {

/// As the environment says it; each may be empty.
struct ProxySettings {
  std::string http;      ///< for http:// URLs
  std::string https;     ///< for https:// URLs, by CONNECT
  std::string no_proxy;  ///< host names, `.suffixes`, addresses, or `*`, separated by commas
};

/// `https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`; capitals too, but for `HTTP_PROXY`, which a CGI client could
/// set.
ProxySettings proxy_settings_from_environment();

struct Proxy {
  std::string host;
  std::uint16_t port = 0;
  std::string authorization;  ///< value of Proxy-Authorization; empty: none
};

/// Which proxy stands between here and `url`; nothing: none. Loopback is always reached directly.
/// `problem` is set where a proxy is named but its URL is of no use: such a request must not go out directly.
std::optional<Proxy> choose_proxy(const ProxySettings& settings, const Url& url, std::string& problem);

}  // namespace tally::daemon::client
