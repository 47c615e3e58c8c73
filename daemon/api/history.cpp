#include <fmt/format.h>

#include "daemon/api/context.hpp"
#include "daemon/api/render.hpp"
#include "daemon/http/query.hpp"
#include "daemon/ingest/rfc3339.hpp"
#include "tracker/sketch.hpp"

namespace tally::daemon::api {
namespace {

using db::HistoryStep;
using http::Response;
using http::Status;
using namespace std::chrono_literals;
using Microseconds = std::chrono::microseconds;

constexpr int kDefaultSteps = 30;
// A year and a month of days.
constexpr int kMostSteps = 400;

Microseconds length(HistoryStep step) {
  switch (step) {
    case HistoryStep::day:
      return 24h;
    case HistoryStep::week:
      return 7 * 24h;
    case HistoryStep::month:
      return 31 * 24h;
  }
  return 24h;
}

/// Where the step begins that lies `kDefaultSteps` before, so that the first entry is a whole one.
Microseconds first_step(Microseconds to, HistoryStep step) {
  const auto before = std::chrono::floor<std::chrono::days>(
      tracker::WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(to - kDefaultSteps * length(step))));
  std::chrono::sys_days day = before;
  if (step == HistoryStep::week) day -= std::chrono::weekday(before) - std::chrono::Monday;
  if (step == HistoryStep::month) {
    const std::chrono::year_month_day date(before);
    day = date.year() / date.month() / 1;
  }
  return day.time_since_epoch();
}

/// Adding up days takes the database's time and memory: one question at a time, so that flushes keep their connections.
class Turn {
 public:
  explicit Turn(std::atomic<bool>& taken) : taken_(taken), mine_(!taken.exchange(true)) {}
  ~Turn() {
    if (mine_) taken_ = false;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool take() {
    if (!mine_) mine_ = !taken_.exchange(true);
    return mine_;
  }

 private:
  std::atomic<bool>& taken_;
  bool mine_;
};

constexpr auto kBetweenTries = 20ms;
constexpr int kTries = 500;

struct Window {
  HistoryStep step = HistoryStep::day;
  Microseconds from{};
  Microseconds to{};
};

/// False: `problem` says what is wrong with the query.
bool read_window(const http::Query& query, tracker::WallTime now, Window& window, std::string& problem) {
  const std::string_view step = query.find("step").value_or("day");
  if (step == "week")
    window.step = HistoryStep::week;
  else if (step == "month")
    window.step = HistoryStep::month;
  else if (step != "day")
    problem = "step must be day, week or month.";
  const auto time = [&](std::string_view name, Microseconds otherwise) {
    const auto text = query.find(name);
    if (!text) return otherwise;
    const auto at = ingest::parse_rfc3339(*text);
    if (!at) problem = fmt::format("{} must be an RFC 3339 time.", name);
    return at ? at->time_since_epoch() : otherwise;
  };
  window.to = time("to", now.time_since_epoch());
  window.from = time("from", first_step(window.to, window.step));
  if (problem.empty() && window.from >= window.to) problem = "from must be before to.";
  if (problem.empty() && window.to - window.from > kMostSteps * length(window.step))
    problem = fmt::format("from and to must be at most {} steps apart.", kMostSteps);
  return problem.empty();
}

std::string to_json(const db::HistoryEntry& entry) {
  std::string text = fmt::format(
      R"({{"start":"{}","end":"{}","periods":{},"allowed_requests":{},"denied_requests":{},"unique_workspaces":{},)"
      R"("unique_users":{},"exact":{})",
      rfc3339(entry.start_us), rfc3339(entry.end_us), entry.periods, entry.allowed, entry.denied,
      entry.unique_workspaces, entry.unique_users, entry.exact);
  if (!entry.exact) text += fmt::format(R"(,"relative_error":{})", tracker::Sketch::kRelativeError);
  return text + "}";
}

}  // namespace

Answer get_history(Context& context, http::Request& request) {
  std::string problem;
  const auto query = http::Query::parse(request.query, problem);
  if (!query) co_return http::problem(Status::bad_request, problem);
  if (const auto unknown = query->unknown({"from", "to", "step"}))
    co_return http::problem(Status::bad_request, fmt::format("Unknown query parameter: {}", *unknown));
  Window window;
  if (!read_window(*query, context.clock.wall(), window, problem))
    co_return http::problem(Status::bad_request, problem);
  Turn turn(context.history_taken);
  for (int tries = 1; !turn.take(); ++tries) {
    if (tries == kTries)
      co_return http::retry_later(Status::service_unavailable, "Another history is being added up.", 5s);
    co_await pause(kBetweenTries);
  }
  const auto summed = co_await context.store.sum_closed();
  if (!summed) co_return store_failure(summed.error());
  const auto history = co_await context.history.read(window.from.count(), window.to.count(), window.step);
  if (!history) co_return store_failure(history.error());
  std::string text = R"({"history":[)";
  for (const auto& entry : *history) {
    if (text.back() == '}') text += ',';
    text += to_json(entry);
  }
  co_return http::json(Status::ok, text + "]}");
}

}  // namespace tally::daemon::api
