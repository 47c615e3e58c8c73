#include "daemon/api/openapi.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "daemon/api/context.hpp"

namespace tally::daemon::api {
namespace {

std::set<std::string> offered() {
  std::set<std::string> all;
  for (const Route& route : routes()) {
    std::string method(boost::beast::http::to_string(route.method));
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    all.insert(method + " " + std::string(route.pattern));
  }
  return all;
}

std::set<std::string> described() {
  std::set<std::string> all;
  const boost::json::value description = boost::json::parse(kOpenApi);
  for (const auto& path : description.at("paths").as_object())
    for (const auto& operation : path.value().as_object())
      all.insert(std::string(operation.key()) + " " + std::string(path.key()));
  return all;
}

TEST(OpenApi, DescribesExactlyTheRoutesThatAreOffered) {
  EXPECT_EQ(described(), offered());
}

TEST(OpenApi, SaysWhichRoutesNeedNoToken) {
  const auto paths = boost::json::parse(kOpenApi).at("paths").as_object();
  for (const Route& route : routes()) {
    std::string method(boost::beast::http::to_string(route.method));
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    const auto& operation = paths.at(std::string(route.pattern)).at(method).as_object();
    EXPECT_EQ(operation.contains("security"), route.permission.value.kind == Permission::Kind::open) << route.pattern;
  }
}

}  // namespace
}  // namespace tally::daemon::api
