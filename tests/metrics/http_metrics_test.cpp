#include "metrics/http_metrics.hpp"

#include <gmock/gmock.h>

#include <thread>

namespace tally::metrics {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr HttpRow kRows[] = {
    {HttpMethod::post, "/events"}, {HttpMethod::get, "/events"}, {HttpMethod::delete_, "/tokens/{id}"}};

std::string text(const Registry& registry) {
  return expose(registry.collect(), Format::text);
}
std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

TEST(HttpMetrics, NumbersRoutesByPattern) {
  Registry registry;
  HttpMetrics metrics(registry, kRows, 1);
  EXPECT_NE(metrics.route("/events"), metrics.route("/tokens/{id}"));
  EXPECT_EQ(metrics.route("/events/../secret"), HttpMetrics::kNoRoute);
}

TEST(HttpMetrics, AddsUpWhatAllThreadsCounted) {
  Registry registry;
  HttpMetrics metrics(registry, kRows, 3);
  const std::uint32_t events = metrics.route("/events");
  std::vector<std::thread> threads;
  for (std::uint32_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 1000; ++i) metrics.request_finished(thread, events, HttpMethod::post, 202, 300us);
    });
  }
  while (text(registry).find("code=\"202\"} 3000") == std::string::npos) std::this_thread::yield();
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(text(registry), HasSubstr("tallyd_http_request_duration_seconds_count{route=\"/events\"} 3000"));
}

TEST(HttpMetrics, PutsADurationInTheFirstBucketThatHoldsIt) {
  Registry registry;
  HttpMetrics metrics(registry, kRows, 1);
  metrics.request_finished(0, metrics.route("/events"), HttpMethod::post, 202, 1ms);
  metrics.request_finished(0, metrics.route("/events"), HttpMethod::post, 202, 99s);
  const std::string shown = text(registry);
  EXPECT_THAT(shown, HasSubstr("seconds_bucket{route=\"/events\",le=\"0.0005\"} 0"));
  EXPECT_THAT(shown, HasSubstr("seconds_bucket{route=\"/events\",le=\"0.001\"} 1"));
  EXPECT_THAT(shown, HasSubstr("seconds_bucket{route=\"/events\",le=\"30\"} 1"));
  EXPECT_THAT(shown, HasSubstr("seconds_bucket{route=\"/events\",le=\"+Inf\"} 2"));
  EXPECT_THAT(shown, HasSubstr("seconds_sum{route=\"/events\"} 99.001"));
}

TEST(HttpMetrics, CountsOpenConnections) {
  Registry registry;
  HttpMetrics metrics(registry, kRows, 2);
  metrics.connection_opened(0);
  metrics.connection_opened(1);
  metrics.connection_closed(1);
  EXPECT_THAT(text(registry), HasSubstr("tallyd_http_connections 1\n"));
}

TEST(HttpMetrics, TakesNoLabelFromAClient) {
  Registry registry;
  HttpMetrics metrics(registry, kRows, 1);
  const auto use_every_code = [&] {
    for (unsigned status = 0; status < 1000; ++status) {
      metrics.request_finished(0, metrics.route("/invented/" + std::to_string(status)), HttpMethod::other, status, 1us);
    }
  };
  use_every_code();
  const std::string first = text(registry);
  use_every_code();
  EXPECT_EQ(lines(text(registry)), lines(first));
  EXPECT_THAT(first, HasSubstr("{route=\"none\",method=\"other\",code=\"other\"}"));
}

TEST(HttpMetrics, ShowsTheUsualCodesOfARouteBeforeAnyRequest) {
  Registry registry;
  HttpMetrics metrics(registry, kRows, 1);
  const std::string shown = text(registry);
  EXPECT_THAT(shown, HasSubstr("{route=\"/events\",method=\"POST\",code=\"202\"} 0"));
  EXPECT_THAT(shown, HasSubstr("{route=\"/tokens/{id}\",method=\"DELETE\",code=\"204\"} 0"));
  EXPECT_THAT(shown, HasSubstr("tallyd_http_limits_reached_total{limit=\"header_deadline\"} 0"));
}

}  // namespace
}  // namespace tally::metrics
