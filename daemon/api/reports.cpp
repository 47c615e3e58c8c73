#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>

#include "daemon/api/context.hpp"
#include "daemon/api/render.hpp"
#include "daemon/counting/stream_driver.hpp"
#include "daemon/http/query.hpp"
#include "daemon/ingest/key.hpp"
#include "daemon/log.hpp"
#include "tracker/period_close.hpp"

namespace tally::daemon::api {
namespace {

using http::Response;
using http::Status;
using tracker::Errc;
using tracker::PeriodClose;
using tracker::PeriodId;
using namespace std::chrono_literals;

constexpr std::string_view kReportsPath = "/api/v1/boundary-usage/reports";
constexpr std::int64_t kDefaultPage = 50;
constexpr std::int64_t kLargestPage = 500;
constexpr auto kAnswerWithin = 30s;
constexpr auto kBetweenTries = 200ms;
constexpr std::chrono::milliseconds kLeastForASum = 100ms;
constexpr std::size_t kDeepestBody = 8;
// A replica that never rests answers with what there is.
constexpr int kLedgerAttempts = 10;
constexpr auto kBetweenLedgers = 20ms;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string location(PeriodId period) {
  return fmt::format("{}/{}", kReportsPath, period);
}

struct CloseBody {
  std::optional<PeriodId> period;
  std::optional<Response> refusal;
};

CloseBody refuse(Status status, std::string_view detail, std::string pointer) {
  const http::BodyError errors[] = {{std::move(pointer), std::string(detail)}};
  return {std::nullopt, http::problem(status, detail, errors)};
}

/// `{}` or `{"period": 42}`, or no body at all.
CloseBody read_close_body(std::string_view body) {
  if (body.empty()) return {};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const simdjson::padded_string padded(body);
  // Deeper than any close is refused, as in every other body.
  if (parser.allocate(std::max<std::size_t>(body.size(), 64), kDeepestBody) != simdjson::SUCCESS ||
      parser.parse(padded).get(root) != simdjson::SUCCESS)
    return {std::nullopt, http::problem(Status::bad_request, "The body is not JSON.")};
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) return refuse(Status::unprocessable_entity, "must be an object", "");
  CloseBody read;
  for (const auto& [key, value] : object) {
    if (key != "period") continue;
    if (read.period) return refuse(Status::unprocessable_entity, "appears twice", "/period");
    std::int64_t period = 0;
    if (value.get(period) != simdjson::SUCCESS || period < 1)
      return refuse(Status::unprocessable_entity, "must be a whole number from 1", "/period");
    read.period = period;
  }
  return read;
}

/// What became of a close within its time.
struct CloseOutcome {
  bool moved = false;
  bool summed = false;
  std::optional<PeriodId> period;  ///< known closed
  std::optional<tracker::Report> report;
  std::optional<Response> failure;
};

/// Does what `PeriodClose` decides. `discard`: throw the figures away; the report is then not waited for.
boost::asio::awaitable<CloseOutcome> close_period(Context& context, PeriodClose close, bool discard) {
  using Do = PeriodClose::Do;
  const auto deadline = context.clock.steady() + kAnswerWithin;
  bool closed = false;
  while (true) {
    boost::system::error_code error;
    switch (close.next()) {
      case Do::read_clock: {
        const auto clock = co_await context.store.clock();
        if (clock)
          close.clock(clock->period);
        else
          error = clock.error();
        break;
      }
      case Do::close: {
        const auto moved = co_await context.store.close(close.period(), close.request(), discard);
        closed = static_cast<bool>(moved);
        if (moved)
          close.closed(*moved);
        else
          error = moved.error();
        break;
      }
      case Do::report: {
        if (discard) co_return CloseOutcome{close.moved(), false, close.period(), std::nullopt, std::nullopt};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - context.clock.steady());
        auto report = co_await context.store.report_within(close.period(), std::max(left, kLeastForASum));
        if (report)
          close.summed(std::move(*report));
        else
          error = report.error();
        break;
      }
      case Do::done:
        co_return CloseOutcome{close.moved(), true, close.period(), close.report(), std::nullopt};
      case Do::refused:
        co_return CloseOutcome{false, false, std::nullopt, std::nullopt,
                               http::problem(Status::conflict, "That period is neither the open one nor closed.")};
    }
    if (!error) continue;
    context.report_metrics.report(metrics::ReportResult::failed);
    const Errc why = store_errc(error);
    close.failed(why);
    if (why == Errc::conflict) continue;
    // Nothing was sent, so the caller may as well try again; but a close whose answer was lost is followed up here.
    const bool harmless = !closed && why != Errc::outcome_unknown && why != Errc::serialization;
    if (harmless || context.clock.steady() >= deadline) {
      if (closed) co_return CloseOutcome{close.moved(), false, close.period(), std::nullopt, std::nullopt};
      co_return CloseOutcome{false, false, std::nullopt, std::nullopt, store_failure(error)};
    }
    co_await pause(kBetweenTries);
  }
}

void log_close(Context& context, const http::Request& request, const CloseOutcome& outcome, bool discard) {
  if (!outcome.moved) return;
  context.report_metrics.report(discard ? metrics::ReportResult::discarded : metrics::ReportResult::closed);
  if (outcome.summed) context.report_metrics.report(metrics::ReportResult::summed);
  log::audit(discard ? "period discarded" : "period closed",
             {{"period", *outcome.period}, {"by", request.subject_as<Caller>().name()}, {"request_id", request.id}});
}

}  // namespace

Answer get_summary(Context& context, http::Request&) {
  const auto summary = co_await context.store.summary();
  if (!summary) co_return store_failure(summary.error());
  co_return http::json(Status::ok, to_json(*summary));
}

Answer post_report(Context& context, http::Request& request) {
  CloseBody body = read_close_body(request.body);
  if (body.refusal) co_return std::move(*body.refusal);

  auto id = tracker::Uuid::random();
  bool repeated = false;
  if (const auto key = request.header("Idempotency-Key")) {
    if (!ingest::is_idempotency_key(*key))
      co_return http::problem(Status::bad_request, "Idempotency-Key must be 1 to 128 visible ASCII characters.");
    id = ingest::key_id(request.subject_as<Caller>().key_subject(), kReportsPath, {*key});
    // The clock before the look-up: a first attempt still on its way is then either seen, or has moved the clock past
    // the period that is named here. Read afterwards, the same key could close the next period too.
    const auto clock = co_await context.store.clock();
    if (!clock) co_return store_failure(clock.error());
    const auto earlier = co_await context.store.closed_by(id);
    if (!earlier) co_return store_failure(earlier.error());
    if (*earlier) {
      if (body.period && *body.period != **earlier)
        co_return http::problem(Status::unprocessable_entity, "This Idempotency-Key was used to close another period.");
      body.period = **earlier;
      repeated = true;
    } else if (!body.period) {
      body.period = clock->period;
    }
  }

  const CloseOutcome outcome = co_await close_period(context, PeriodClose(body.period, id), false);
  if (outcome.failure) co_return *outcome.failure;
  if (!repeated) log_close(context, request, outcome, false);
  Response answer;
  if (outcome.summed) {
    answer = http::json(outcome.moved ? Status::created : Status::ok, to_json(*outcome.report));
    if (outcome.moved) answer.add_header("Location", location(*outcome.period));
  } else {
    answer = http::json(Status::accepted, fmt::format(R"({{"period":{}}})", *outcome.period));
    answer.add_header("Location", location(*outcome.period));
  }
  co_return answer;
}

Answer get_reports(Context& context, http::Request& request) {
  std::string problem;
  const auto query = http::Query::parse(request.query, problem);
  if (!query) co_return http::problem(Status::bad_request, problem);
  if (const auto unknown = query->unknown({"limit", "before"}))
    co_return http::problem(Status::bad_request, fmt::format("Unknown query parameter: {}", *unknown));
  std::int64_t limit = kDefaultPage;
  std::optional<PeriodId> before;
  if (const auto text = query->find("limit")) {
    const auto value = number(*text);
    if (!value || *value < 1 || *value > kLargestPage)
      co_return http::problem(Status::bad_request, fmt::format("limit must be 1 to {}.", kLargestPage));
    limit = *value;
  }
  if (const auto text = query->find("before")) {
    before = number(*text);
    if (!before) co_return http::problem(Status::bad_request, "before must be the number of a period.");
  }
  // One more than asked for tells whether there is another page.
  const auto reports = co_await context.store.reports(limit + 1, before);
  if (!reports) co_return store_failure(reports.error());
  const std::size_t shown = std::min<std::size_t>(reports->size(), static_cast<std::size_t>(limit));
  std::string text = R"({"reports":[)";
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) text += ',';
    text += to_json((*reports)[i]);
  }
  text += ']';
  if (reports->size() > shown) text += fmt::format(R"(,"next_before":{})", (*reports)[shown - 1].period);
  co_return http::json(Status::ok, text + "}");
}

Answer get_report(Context& context, http::Request& request) {
  const auto period = number(request.captures[0]);
  if (!period) co_return http::problem(Status::not_found, "No such period.");
  const auto report = co_await context.store.report(*period);
  if (report) co_return http::json(Status::ok, to_json(*report));
  if (report.error() == Errc::not_found) co_return http::problem(Status::not_found, "No such closed period.");
  co_return store_failure(report.error());
}

Answer delete_usage(Context& context, http::Request& request) {
  const CloseOutcome outcome = co_await close_period(context, PeriodClose(std::nullopt, tracker::Uuid::random()), true);
  if (outcome.failure) co_return *outcome.failure;
  log_close(context, request, outcome, true);
  co_return http::no_content();
}

Answer delete_replica(Context& context, http::Request& request) {
  const auto replica = http::percent_decode(request.captures[0]);
  if (!replica) co_return http::problem(Status::not_found, "No such replica.");
  const auto by = request.subject_as<Caller>().name();
  const auto done = co_await context.store.discard_replica(*replica, by);
  if (!done && done.error() == Errc::not_found) co_return http::problem(Status::not_found, "No such replica.");
  if (!done) co_return store_failure(done.error());
  log::audit("replica's figures of the open period discarded",
             {{"replica", *replica}, {"by", by}, {"request_id", request.id}});
  co_return http::no_content();
}

boost::asio::awaitable<void> pause(std::chrono::milliseconds time) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

Answer get_ledger(Context& context, http::Request&) {
  for (int attempt = 1;; ++attempt) {
    // Two sides that are read one after the other belong together if nothing moved from the one to the other meanwhile.
    const auto before = context.traffic.still();
    const auto ledger = co_await context.store.ledger();
    if (!ledger) co_return store_failure(ledger.error());
    const OwnReplica own{context.replica_id, context.own_share()};
    const bool consistent = before && before == context.traffic.still();
    if (consistent || attempt == kLedgerAttempts) co_return http::json(Status::ok, to_json(*ledger, own));
    co_await pause(kBetweenLedgers);
  }
}

}  // namespace tally::daemon::api
