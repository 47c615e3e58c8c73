#include "daemon/config.hpp"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>

namespace tally::daemon {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

bool is_ipv6(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool is_ipv4(const std::string& host) {
  in_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

}  // namespace

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  Endpoint endpoint;
  if (text.find('\0') != text.npos) return std::nullopt;
  if (text.starts_with("unix:")) {
    endpoint.kind = Endpoint::Kind::unix_socket;
    endpoint.path = text.substr(5);
    if (!endpoint.path.starts_with('/') || endpoint.path.size() >= sizeof(sockaddr_un::sun_path)) return std::nullopt;
    return endpoint;
  }
  const auto colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;
  endpoint.port = *port;
  const auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    endpoint.host = host.substr(1, host.size() - 2);
    return is_ipv6(endpoint.host) ? std::optional(endpoint) : std::nullopt;
  }
  endpoint.host = host == "localhost" ? "127.0.0.1" : host;
  return is_ipv4(endpoint.host) ? std::optional(endpoint) : std::nullopt;
}

std::string to_string(const Endpoint& endpoint) {
  if (endpoint.kind == Endpoint::Kind::unix_socket) return "unix:" + endpoint.path;
  const bool brackets = endpoint.host.find(':') != std::string::npos;
  return (brackets ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

bool is_local(const Endpoint& endpoint) {
  if (endpoint.kind == Endpoint::Kind::unix_socket) return true;
  in6_addr v6;
  if (inet_pton(AF_INET6, endpoint.host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  in_addr v4;
  return inet_pton(AF_INET, endpoint.host.c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

}  // namespace tally::daemon
