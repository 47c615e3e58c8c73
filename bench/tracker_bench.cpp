#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <latch>
#include <random>
#include <thread>

#include "daemon/ingest/boundary.hpp"
#include "tracker/shard.hpp"

// What counting costs (performance.md, targets 4, 5 and 15). Prints one line a case, as peers/go_tracker does:
// With a number of ids as its argument only those cases.
//   track THREADS IDS NS    one event a record, as a single POST leaves it; NS of wall time by all events of all
//   threads batch THREADS IDS NS    the same, 1,000 events a record path 1 IDS NS           NDJSON of 1,000 events a
//   body: parsed, encoded, tracked memory 1 IDS BYTES      held by the sets of ids, an id
namespace {

using namespace tally;

const tracker::SystemClock kClock;
constexpr std::size_t kCalls = 4'000'000, kDistinct = 1'000'000;
constexpr std::size_t kBatch = 1'000;

std::vector<tracker::Uuid> make_ids(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<tracker::Uuid> ids(count);
  for (tracker::Uuid& id : ids)
    for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(random());
  return ids;
}

tracker::AccumulatorLimits roomy() {
  return {.ids = 8'000'000};
}

void encode(std::span<const tracker::Increment> increments, std::string& payload) {
  payload.clear();
  tracker::BoundaryEncoder encoder(payload, increments.size() * 40);
  for (const tracker::Increment& increment : increments) encoder.add(increment);
  encoder.finish();
}

/// The payloads of one thread's share, one after the other, in an order made beforehand: only the calls are timed.
struct Records {
  std::string bytes;
  std::vector<std::span<const std::byte>> each;
};

Records records_of(unsigned thread, unsigned threads, const std::vector<tracker::Uuid>& ids,
                   std::size_t events_a_record) {
  std::uint32_t state = 1;  // the generator of the peer
  const auto next = [&]() -> const tracker::Uuid& {
    state = state * 1664525u + 1013904223u;
    return ids[(state >> 4) % ids.size()];
  };
  for (std::size_t skipped = 0; skipped < kDistinct / threads * thread; ++skipped) (void)next();
  Records records;
  std::vector<std::size_t> ends;
  std::vector<tracker::Increment> increments(events_a_record);
  std::string payload;
  for (std::size_t n = 0; n < kDistinct / threads / events_a_record; ++n) {
    for (tracker::Increment& each : increments) {
      const tracker::Uuid& id = next();
      each = {id, id, 1, 0};
    }
    encode(increments, payload);
    records.bytes += payload;
    ends.push_back(records.bytes.size());
  }
  const auto all = std::as_bytes(std::span(records.bytes));
  for (std::size_t start = 0; const std::size_t end : ends) {
    records.each.push_back(all.subspan(start, end - start));
    start = end;
  }
  return records;
}

tracker::Append everything(const std::vector<tracker::Uuid>& ids) {
  std::vector<tracker::Increment> known;
  for (const tracker::Uuid& id : ids) known.push_back({id, id, 1, 0});
  tracker::Append record;
  record.type = tracker::RecordType::boundary;
  encode(known, record.payload);
  return record;
}

/// Nanoseconds an event when every thread counts its share of `kCalls` in a shard of its own.
double tracking(unsigned threads, const std::vector<tracker::Uuid>& ids, std::size_t events_a_record) {
  std::latch ready(threads + 1), done(threads);
  std::vector<std::thread> running;
  for (unsigned thread = 0; thread < threads; ++thread)
    running.emplace_back([&, thread] {
      const Records records = records_of(thread, threads, ids, events_a_record);
      tracker::Accumulator accumulator(roomy());
      const auto known = everything(ids);
      accumulator.add(known.type, std::as_bytes(std::span(known.payload)), known.appended_at);
      ready.arrive_and_wait();
      for (std::size_t round = 0; round < kCalls / kDistinct; ++round)
        for (const auto& record : records.each)
          if (accumulator.add(tracker::RecordType::boundary, record, {}) != tracker::Accumulator::Added::yes)
            std::abort();
      done.count_down();
    });
  ready.arrive_and_wait();
  const auto start = kClock.steady();
  done.wait();
  const auto elapsed = kClock.steady() - start;
  for (std::thread& thread : running) thread.join();
  return std::chrono::duration<double, std::nano>(elapsed).count() / kCalls;
}

/// Bodies of 1,000 lines over `ids`, parsed and tracked as an http thread does it.
double path(const std::vector<tracker::Uuid>& ids) {
  constexpr std::size_t kBodies = 500;
  std::mt19937_64 random(7);
  std::vector<std::string> bodies(kBodies);
  for (std::string& body : bodies)
    for (std::size_t i = 0; i < kBatch; ++i)
      body += fmt::format("{{\"workspace_id\":\"{}\",\"owner_id\":\"{}\",\"allowed\":{},\"denied\":{}}}\n",
                          ids[random() % ids.size()].to_string(), ids[random() % ids.size()].to_string(),
                          random() % 1000, random() % 20);
  tracker::Shard shard(roomy());
  tracker::Append record;
  record.type = tracker::RecordType::boundary;
  shard.track(everything(ids));
  ingest::Accepted accepted;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const auto start = kClock.steady();
    for (const std::string& body : bodies) {
      if (ingest::read_boundary_events({"application/x-ndjson", {}, body, {}, ingest::KeySubject::system("bench")},
                                       accepted))
        std::abort();
      record.payload.swap(accepted.payload);
      shard.track(record);
    }
    best =
        std::min(best, std::chrono::duration<double, std::nano>(kClock.steady() - start).count() / (kBodies * kBatch));
  }
  return best;
}

double memory(const std::vector<tracker::Uuid>& ids) {
  tracker::IdSet set;
  for (const tracker::Uuid& id : ids) set.insert(id);
  return static_cast<double>(set.memory_bytes()) / static_cast<double>(ids.size());
}

}  // namespace

int main(int argument_count, char** arguments) {
  const auto only = argument_count > 1 ? std::strtoul(arguments[1], nullptr, 10) : 0;
  for (const std::size_t count : {10'000u, 1'000'000u}) {
    if (only != 0 && only != count) continue;
    const auto ids = make_ids(count, 1);
    for (const unsigned threads : {1u, 2u}) {
      fmt::print("track {} {} {:.1f}\n", threads, count, tracking(threads, ids, 1));
      fmt::print("batch {} {} {:.1f}\n", threads, count, tracking(threads, ids, kBatch));
    }
    fmt::print("path 1 {} {:.1f}\n", count, path(ids));
    fmt::print("memory 1 {} {:.1f}\n", count, memory(ids));
    std::fflush(stdout);
  }
}
