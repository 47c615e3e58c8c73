#include "daemon/http/endpoint.hpp"

#include <sys/un.h>

#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace tally::http {
namespace {

constexpr std::string_view kUnix = "unix:";

boost::system::error_code invalid() {
  return make_error_code(boost::system::errc::invalid_argument);
}

}  // namespace

bool Endpoint::is_loopback() const {
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(host, ec);
  return !ec && address.is_loopback();
}

std::string Endpoint::to_string() const {
  if (is_unix()) return std::string(kUnix) + path;
  const bool bracketed = host.find(':') != std::string::npos;
  return (bracketed ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

tracker::Result<Endpoint> Endpoint::parse(std::string_view text) {
  Endpoint endpoint;
  if (text.starts_with(kUnix)) {
    endpoint.path = text.substr(kUnix.size());
    if (!endpoint.path.starts_with('/') || endpoint.path.size() >= sizeof(sockaddr_un::sun_path)) return invalid();
    return endpoint;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return invalid();
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (error != std::errc{} || end != port.data() + port.size()) return invalid();
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  if (host == "*") host = "::";
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(host, ec);
  if (ec || (address.is_v6() && !bracketed && text.front() != '*')) return invalid();
  endpoint.host = address.to_string();
  return endpoint;
}

}  // namespace tally::http
