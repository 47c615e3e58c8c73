#include "metrics/ingest_metrics.hpp"

#include "metrics/detail/sampled.hpp"

namespace tally::metrics {
namespace {

constexpr std::array<std::string_view, 3> kKinds = {"boundary", "connection", "usage"};
constexpr std::array<std::string_view, 4> kResults = {"accepted", "invalid", "skipped", "unavailable"};

enum : std::size_t { kKeyConflicts, kSequenceGap };

}  // namespace

IngestMetrics::IngestMetrics(Registry& registry, std::uint32_t threads)
    : events_(threads, kKinds.size() * kResults.size()),
      duplicates_(threads + 1, kKinds.size()),
      boundary_(threads, 2),
      keys_(threads + 1, 2),
      counting_thread_(threads),
      pending_(registry, prometheus::BuildGauge(), "tallyd_pending_events",
               "Events accepted here that are not yet in the database.", "kind", kKinds) {
  registry.add(*this);
}

void IngestMetrics::events(std::uint32_t thread, EventKind kind, IngestResult result, std::uint64_t count) noexcept {
  events_.add(thread, static_cast<std::size_t>(kind) * kResults.size() + static_cast<std::size_t>(result), count);
}

void IngestMetrics::duplicates(std::uint32_t thread, EventKind kind, std::uint64_t count) noexcept {
  duplicates_.add(thread, static_cast<std::size_t>(kind), count);
}

void IngestMetrics::key_conflicts(std::uint32_t thread, std::uint64_t count) noexcept {
  keys_.add(thread, kKeyConflicts, count);
}

void IngestMetrics::sequence_gap(std::uint32_t thread, std::uint64_t numbers) noexcept {
  keys_.add(thread, kSequenceGap, numbers);
}

void IngestMetrics::boundary_requests(std::uint32_t thread, std::uint64_t allowed, std::uint64_t denied) noexcept {
  boundary_.add(thread, 0, allowed);
  boundary_.add(thread, 1, denied);
}

void IngestMetrics::set_pending(EventKind kind, std::uint64_t events) noexcept {
  pending_[kind].Set(static_cast<double>(events));
}

std::vector<prometheus::MetricFamily> IngestMetrics::Collect() const {
  using prometheus::MetricType;
  auto events =
      detail::family("tallyd_ingest_events_total", MetricType::Counter, "Events received, by kind and result.");
  auto duplicates = detail::family("tallyd_ingest_duplicates_total", MetricType::Counter,
                                   "Events that repeated a key or an id and were not counted again.");
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
    for (std::size_t result = 0; result < kResults.size(); ++result) {
      detail::add_sample(events, {{"kind", kKinds[kind]}, {"result", kResults[result]}},
                         static_cast<double>(events_.sum(kind * kResults.size() + result)));
    }
    detail::add_sample(duplicates, {{"kind", kKinds[kind]}}, static_cast<double>(duplicates_.sum(kind)));
  }
  auto boundary = detail::family("tallyd_boundary_requests_total", MetricType::Counter,
                                 "Requests that accepted boundary events told of, by decision.");
  detail::add_sample(boundary, {{"decision", "allowed"}}, static_cast<double>(boundary_.sum(0)));
  detail::add_sample(boundary, {{"decision", "denied"}}, static_cast<double>(boundary_.sum(1)));
  auto conflicts = detail::family("tallyd_key_conflicts_total", MetricType::Counter,
                                  "Keys that came again with another body: answered 422 or refused by the flush.");
  detail::add_sample(conflicts, {}, static_cast<double>(keys_.sum(kKeyConflicts)));
  auto gap = detail::family("tallyd_sequence_gap_total", MetricType::Counter,
                            "Sequence numbers of boundary log sessions that never came to this replica.");
  detail::add_sample(gap, {}, static_cast<double>(keys_.sum(kSequenceGap)));
  return {std::move(events), std::move(duplicates), std::move(boundary), std::move(conflicts), std::move(gap)};
}

}  // namespace tally::metrics
