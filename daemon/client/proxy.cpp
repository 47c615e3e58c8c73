#include "daemon/client/proxy.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/detail/base64.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cstdlib>

namespace tally::daemon::client {
namespace {

std::string first_of_environment(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  return {};
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if ('A' <= c && c <= 'Z') c = static_cast<char>(c + 32);
  return result;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

bool is_exempt(std::string_view no_proxy, const std::string& host) {
  while (!no_proxy.empty()) {
    const auto comma = no_proxy.find(',');
    std::string entry = lower(no_proxy.substr(0, comma));
    no_proxy.remove_prefix(comma == no_proxy.npos ? no_proxy.size() : comma + 1);
    std::erase(entry, ' ');
    if (entry == "*") return true;
    if (entry.starts_with('.')) entry.erase(0, 1);
    if (entry.empty()) continue;
    if (host == entry || host.ends_with("." + entry)) return true;
  }
  return false;
}

std::string basic(const std::string& user, const std::string& password) {
  namespace base64 = boost::beast::detail::base64;
  const std::string plain = user + ":" + password;
  std::string encoded(base64::encoded_size(plain.size()), '\0');
  encoded.resize(base64::encode(encoded.data(), plain.data(), plain.size()));
  return "Basic " + encoded;
}

}  // namespace

ProxySettings proxy_settings_from_environment() {
  ProxySettings settings;
  settings.http = first_of_environment({"http_proxy", "all_proxy", "ALL_PROXY"});
  settings.https = first_of_environment({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
  settings.no_proxy = first_of_environment({"no_proxy", "NO_PROXY"});
  return settings;
}

std::optional<Proxy> choose_proxy(const ProxySettings& settings, const Url& url, std::string& problem) {
  const std::string host = lower(url.host);
  std::string text = url.tls ? settings.https : settings.http;
  if (text.empty() || is_loopback(host) || is_exempt(settings.no_proxy, host)) return std::nullopt;
  if (text.find("://") == text.npos) text.insert(0, "http://");
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed || parsed->scheme_id() != boost::urls::scheme::http || parsed->host_address().empty()) {
    problem = "the proxy that the environment names is not an http:// URL";
    return std::nullopt;
  }
  Proxy proxy;
  proxy.host = parsed->host_address();
  proxy.port = parsed->has_port() && parsed->port_number() != 0 ? parsed->port_number() : 80;
  if (parsed->has_userinfo()) proxy.authorization = basic(parsed->user(), parsed->password());
  return proxy;
}

}  // namespace tally::daemon::client
