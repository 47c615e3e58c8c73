#include "daemon/client/url.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

namespace tally::daemon::client {

std::optional<Url> parse_url(std::string_view text) {
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed || !parsed->has_authority() || parsed->has_userinfo()) return std::nullopt;
  Url url;
  if (parsed->scheme_id() == boost::urls::scheme::https)
    url.tls = true;
  else if (parsed->scheme_id() != boost::urls::scheme::http)
    return std::nullopt;
  url.host = parsed->host_address();
  if (url.host.empty()) return std::nullopt;
  url.port = url.tls ? 443 : 80;
  if (parsed->has_port() && !parsed->port().empty()) {
    const auto digits = parsed->port();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc{} || end != digits.data() + digits.size() || url.port == 0) return std::nullopt;
  }
  const auto path = parsed->encoded_path();
  url.target = path.empty() ? std::string("/") : std::string(path.data(), path.size());
  if (parsed->has_query()) {
    const auto query = parsed->encoded_query();
    url.target.append("?").append(query.data(), query.size());
  }
  return url;
}

std::string authority(const Url& url) {
  std::string text = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
  if (url.port != (url.tls ? 443 : 80)) text += ":" + std::to_string(url.port);
  return text;
}

}  // namespace tally::daemon::client
