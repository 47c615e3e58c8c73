#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <set>

#include "metrics/authz_metrics.hpp"
#include "metrics/connection_metrics.hpp"
#include "metrics/flush_metrics.hpp"
#include "metrics/http_metrics.hpp"
#include "metrics/ingest_metrics.hpp"
#include "metrics/journal_metrics.hpp"
#include "metrics/log_metrics.hpp"
#include "metrics/process_metrics.hpp"
#include "metrics/registry.hpp"
#include "metrics/report_metrics.hpp"

namespace tally::metrics {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr HttpRow kRows[] = {{HttpMethod::post, "/events"}, {HttpMethod::get, "/reports/{period}"}};

/// Every class of the folder, as the daemon has them.
struct Everything {
  Registry registry;
  HttpMetrics http{registry, kRows, 2};
  IngestMetrics ingest{registry, 2};
  AuthzMetrics authz{registry, 2};
  JournalMetrics journal{registry};
  FlushMetrics flush{registry};
  DbMetrics db{registry};
  ReportMetrics reports{registry};
  ConnectionMetrics connections{registry};
  ProcessMetrics process{registry, "1.2.3", "abc"};
  LogMetrics log{registry, [] { return 3; }, [] { return 5; }};

  std::string text(Format format = Format::text) const { return expose(registry.collect(), format); }
};

/// What the real `promtool check metrics` says about `text`; its exit code comes last.
std::string promtool(const std::string& text) {
  char path[] = "/tmp/tally_metrics_XXXXXX";
  const int descriptor = mkstemp(path);
  EXPECT_EQ(write(descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(descriptor);
  FILE* pipe = popen(("promtool check metrics < " + std::string(path) + " 2>&1").c_str(), "r");
  std::string said;
  for (int c; (c = fgetc(pipe)) != EOF;) said += static_cast<char>(c);
  const int status = pclose(pipe);
  unlink(path);
  return said + "exit " + std::to_string(WEXITSTATUS(status));
}

TEST(MetricsText, LeavesPromtoolNothingToSay) {
  Everything all;
  EXPECT_EQ(promtool(all.text()), "exit 0");
}

TEST(MetricsText, IsCheckedByAPromtoolThatCanComplain) {
  EXPECT_THAT(promtool("# TYPE a_total gauge\na_total 1\n"), Not(HasSubstr("exit 0")));
}

TEST(MetricsText, HasEveryNameOfTheContractFromTheStart) {
  Everything all;
  const std::string text = all.text();
  for (const char* name : {"tallyd_build_info{",
                           "tallyd_http_requests_total{",
                           "tallyd_http_request_duration_seconds_bucket{",
                           "tallyd_http_connections 0",
                           "tallyd_ingest_events_total{kind=\"boundary\",result=\"accepted\"} 0",
                           "tallyd_ingest_duplicates_total{kind=\"usage\"} 0",
                           "tallyd_boundary_requests_total{decision=\"denied\"} 0",
                           "tallyd_pending_events{kind=\"connection\"} 0",
                           "tallyd_flush_duration_seconds_count 0",
                           "tallyd_flushes_total{result=\"applied\"} 0",
                           "tallyd_flush_last_success_timestamp_seconds 0",
                           "tallyd_journal_bytes 0",
                           "tallyd_journal_sync_duration_seconds_count 0",
                           "tallyd_journal_records_recovered_total 0",
                           "tallyd_db_connections{state=\"idle\"} 0",
                           "tallyd_db_errors_total{class=\"connection\"} 0",
                           "tallyd_authz_decisions_total{decision=\"allow\"} 0",
                           "tallyd_reports_total{result=\"closed\"} 0",
                           "tallyd_usage_events_published_total{result=\"accepted\"} 0",
                           "tallyd_usage_events_pending 0",
                           "tallyd_period 0",
                           "process_cpu_seconds_total ",
                           "process_open_fds ",
                           "process_max_fds ",
                           "process_resident_memory_bytes ",
                           "process_start_time_seconds "}) {
    EXPECT_THAT(text, HasSubstr(name));
  }
}

TEST(MetricsText, ShowsWhatWasCounted) {
  Everything all;
  all.ingest.events(0, EventKind::boundary, IngestResult::accepted, 3);
  all.ingest.events(1, EventKind::boundary, IngestResult::accepted, 4);
  all.ingest.boundary_requests(1, 10, 20);
  all.authz.decided(0, true);
  all.authz.decided(1, false);
  all.authz.decided(1, false);
  all.journal.synced(5, 500, std::chrono::microseconds(300));
  all.flush.flushed(FlushResult::refused, std::chrono::milliseconds(2));
  all.db.error(DbErrorClass::timeout);
  all.reports.set_period(42);
  all.reports.published(PublishResult::held, 7);
  const std::string text = all.text();
  for (const char* line :
       {"tallyd_ingest_events_total{kind=\"boundary\",result=\"accepted\"} 7",
        "tallyd_boundary_requests_total{decision=\"denied\"} 20", "tallyd_authz_decisions_total{decision=\"allow\"} 1",
        "tallyd_authz_decisions_total{decision=\"deny\"} 2",
        "tallyd_journal_sync_duration_seconds_bucket{le=\"0.00025\"} 0",
        "tallyd_journal_sync_duration_seconds_bucket{le=\"0.0005\"} 1", "tallyd_journal_records_total 5",
        "tallyd_flushes_total{result=\"refused\"} 1", "tallyd_db_errors_total{class=\"timeout\"} 1", "tallyd_period 42",
        "tallyd_usage_events_published_total{result=\"held\"} 7"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(MetricsText, TellsOfLogLinesThatGaveWay) {
  const std::string text = Everything().text();
  EXPECT_NE(text.find("tallyd_log_lines_dropped_total{queue=\"log\"} 3\n"), text.npos);
  EXPECT_NE(text.find("tallyd_log_lines_dropped_total{queue=\"connection_log\"} 5\n"), text.npos);
}

TEST(MetricsText, TellsRealProcessFigures) {
  Everything all;
  for (const auto& family : all.registry.collect()) {
    if (family.name == "process_resident_memory_bytes") {
      EXPECT_GT(family.metric.at(0).gauge.value, 1e6);
    }
    if (family.name == "process_start_time_seconds") {
      EXPECT_GT(family.metric.at(0).gauge.value, 1.6e9);
    }
    if (family.name == "process_open_fds") {
      EXPECT_GE(family.metric.at(0).gauge.value, 3);
    }
    if (family.name == "process_max_fds") {
      EXPECT_GE(family.metric.at(0).gauge.value, 16);
    }
  }
}

TEST(OpenMetrics, NamesACounterFamilyWithoutItsSuffixAndEnds) {
  Everything all;
  const std::string text = all.text(Format::openmetrics);
  EXPECT_THAT(text, HasSubstr("# TYPE tallyd_flushes counter\n"));
  EXPECT_THAT(text, HasSubstr("\ntallyd_flushes_total{result=\"applied\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("# TYPE tallyd_flushes_total")));
  EXPECT_THAT(text, HasSubstr("tallyd_flush_duration_seconds_bucket{le=\"1.0\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("tallyd_flush_duration_seconds_bucket{le=\"+Inf\"} 0\n"));
  EXPECT_TRUE(text.ends_with("\n# EOF\n"));
}

TEST(OpenMetrics, KeepsTheSamplesOfAFamilyTogetherAndUnique) {
  Everything all;
  std::string text = all.text(Format::openmetrics);
  std::set<std::string> series;
  std::set<std::string> families;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(families.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
    }
    if (!line.starts_with('#')) {
      EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
}

TEST(OpenMetrics, EscapesLabelsAndWritesSpecialNumbers) {
  prometheus::MetricFamily family{"odd", "a \"help\"\nin two lines \\", prometheus::MetricType::Gauge, {}};
  prometheus::ClientMetric metric;
  metric.label.push_back({"l", "x\"y\\z\n"});
  metric.gauge.value = -INFINITY;
  family.metric = {metric};
  EXPECT_EQ(expose({family}, Format::openmetrics),
            "# HELP odd a \\\"help\\\"\\nin two lines \\\\\n# TYPE odd gauge\nodd{l=\"x\\\"y\\\\z\\n\"} -Inf\n# EOF\n");
}

struct AcceptCase {
  std::string_view name;
  std::string_view accept;
  Format format;
};
class AcceptHeader : public testing::TestWithParam<AcceptCase> {};

TEST_P(AcceptHeader, ChoosesTheFormat) {
  EXPECT_EQ(choose_format(GetParam().accept), GetParam().format);
}

INSTANTIATE_TEST_SUITE_P(
    Metrics, AcceptHeader,
    testing::Values(
        AcceptCase{"none", "", Format::text}, AcceptCase{"anything", "*/*", Format::text},
        AcceptCase{"plain", "text/plain;version=0.0.4", Format::text},
        AcceptCase{"prometheus_2",
                   "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                   "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                   Format::openmetrics},
        AcceptCase{"prefers_text", "application/openmetrics-text;q=0.2, text/plain;q=0.9", Format::text},
        AcceptCase{"refuses_openmetrics", "application/openmetrics-text;q=0, */*", Format::text},
        AcceptCase{"unknown_version", "application/openmetrics-text; version=7.0.0", Format::text},
        AcceptCase{"odd_case_and_blanks", " Application/OpenMetrics-Text ; version=1.0.0 ", Format::openmetrics},
        AcceptCase{"rubbish", ";;q=,=;,\"", Format::text}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace tally::metrics
