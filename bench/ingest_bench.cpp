#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <boost/json/basic_parser_impl.hpp>
#include <random>

#include "daemon/ingest/boundary.hpp"
#include "daemon/ingest/detail/boundary_event.hpp"
#include "daemon/ingest/detail/envelope.hpp"

// What ingest costs an event, beside simdjson reading the same bytes and doing nothing with them (performance.md,
// target 4). Every figure `per_event` is nanoseconds of CPU.
namespace {

using namespace tally;

constexpr int kEvents = 1000;

enum class Shape { compact, spaced, timed, extra_scalar, extra_nested };

std::string make_event(Shape shape, std::mt19937_64& random) {
  const auto id = [&] {
    tracker::Uuid uuid;
    for (auto& byte : uuid.bytes) byte = static_cast<std::uint8_t>(random());
    return uuid.to_string();
  };
  const std::string allowed = std::to_string(random() % 1000), denied = std::to_string(random() % 20);
  if (shape == Shape::spaced)
    return "{\"workspace_id\": \"" + id() + "\", \"owner_id\": \"" + id() + "\", \"allowed\": " + allowed +
           ", \"denied\": " + denied + "}";
  std::string text = "{\"workspace_id\":\"" + id() + "\",\"owner_id\":\"" + id() + "\",\"allowed\":" + allowed +
                     ",\"denied\":" + denied;
  if (shape == Shape::timed) text += ",\"time\":\"2026-01-02T03:04:05.678Z\"";
  if (shape == Shape::extra_scalar) text += ",\"agent\":\"main\",\"sequence\":12345,\"retry\":false";
  if (shape == Shape::extra_nested) text += ",\"labels\":{\"region\":\"eu\",\"zones\":[1,2,3]}";
  return text + "}";
}

std::string make_lines(Shape shape) {
  std::mt19937_64 random(1);
  std::string body;
  for (int i = 0; i < kEvents; ++i) body += make_event(shape, random) + "\n";
  return body;
}

void count(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
  state.counters["per_event"] = benchmark::Counter(static_cast<double>(state.iterations()) * kEvents * 1e-9,
                                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

ingest::Request request_of(std::string_view body, std::string_view type = "application/x-ndjson") {
  return {type, {}, body, {}, ingest::KeySubject::system("bench")};
}

void simdjson_iterate_many(benchmark::State& state) {
  const simdjson::padded_string body(make_lines(static_cast<Shape>(state.range(0))));
  simdjson::ondemand::parser parser;
  for (auto _ : state) {
    simdjson::ondemand::document_stream lines;
    if (parser.iterate_many(body, 1 << 20).get(lines)) std::abort();
    std::uint64_t sum = 0;
    for (auto line : lines) {
      simdjson::ondemand::object object;
      if (line.get_object().get(object)) std::abort();
      std::string_view text;
      std::uint64_t number = 0;
      if (object.find_field("workspace_id").get(text)) std::abort();
      sum += text.size();
      if (object.find_field("owner_id").get(text)) std::abort();
      sum += text.size();
      if (object.find_field("allowed").get(number)) std::abort();
      sum += number;
      if (object.find_field("denied").get(number)) std::abort();
      sum += number;
    }
    benchmark::DoNotOptimize(sum);
  }
  count(state, body.size());
}

void ingest_lines(benchmark::State& state) {
  const std::string body = make_lines(static_cast<Shape>(state.range(0)));
  ingest::Accepted out;
  for (auto _ : state) {
    if (ingest::read_boundary_events(request_of(body), out)) std::abort();
    benchmark::DoNotOptimize(out.payload.data());
  }
  count(state, body.size());
}

struct WithoutScanner : ingest::detail::BoundaryEvent {
  struct Scanner {
    template <bool kLines>
    const char* scan(const char*, const char*, Event&) {
      return nullptr;
    }
  };
};

void ingest_lines_strict_reader_only(benchmark::State& state) {
  const std::string body = make_lines(static_cast<Shape>(state.range(0)));
  ingest::Accepted out;
  const auto request = request_of(body);
  for (auto _ : state) {
    if (ingest::detail::Envelope<WithoutScanner>(request).read(out)) std::abort();
    benchmark::DoNotOptimize(out.payload.data());
  }
  count(state, body.size());
}

void ingest_array(benchmark::State& state) {
  std::string body = make_lines(static_cast<Shape>(state.range(0)));
  for (char& c : body)
    if (c == '\n') c = ',';
  body.front() = '[';
  body.insert(1, "{");
  body.back() = ']';
  ingest::Accepted out;
  for (auto _ : state) {
    if (ingest::read_boundary_events(request_of(body, "application/json"), out)) std::abort();
    benchmark::DoNotOptimize(out.payload.data());
  }
  count(state, body.size());
}

/// What Boost.JSON's event parser costs before anything is done with the events.
struct Ignore {
  static constexpr std::size_t max_object_size = -1, max_array_size = -1, max_key_size = -1, max_string_size = -1;
  using Error = boost::system::error_code;
  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return true; }
  bool on_object_end(std::size_t, Error&) { return true; }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(std::size_t, Error&) { return true; }
  bool on_key_part(boost::json::string_view, std::size_t, Error&) { return true; }
  bool on_key(boost::json::string_view, std::size_t, Error&) { return true; }
  bool on_string_part(boost::json::string_view, std::size_t, Error&) { return true; }
  bool on_string(boost::json::string_view, std::size_t, Error&) { return true; }
  bool on_number_part(boost::json::string_view, Error&) { return true; }
  bool on_int64(std::int64_t, boost::json::string_view, Error&) { return true; }
  bool on_uint64(std::uint64_t, boost::json::string_view, Error&) { return true; }
  bool on_double(double, boost::json::string_view, Error&) { return true; }
  bool on_bool(bool, Error&) { return true; }
  bool on_null(Error&) { return true; }
  bool on_comment_part(boost::json::string_view, Error&) { return true; }
  bool on_comment(boost::json::string_view, Error&) { return true; }
};

void boost_json_events(benchmark::State& state) {
  const std::string body = make_lines(static_cast<Shape>(state.range(0)));
  boost::json::basic_parser<Ignore> parser(boost::json::parse_options{});
  for (auto _ : state) {
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t end = body.find('\n', at);
      boost::system::error_code error;
      parser.reset();
      parser.write_some(false, body.data() + at, end - at, error);
      if (error) std::abort();
      at = end + 1;
    }
  }
  count(state, body.size());
}

void decode_record(benchmark::State& state) {
  const std::string body = make_lines(Shape::compact);
  ingest::Accepted out;
  if (ingest::read_boundary_events(request_of(body), out)) std::abort();
  for (auto _ : state) {
    std::uint64_t sum = 0;
    tracker::for_each_increment(
        out.type, std::as_bytes(std::span(out.payload)), [&](const tracker::Increment& increment) {
          sum += increment.allowed + increment.denied + increment.workspace.low() + increment.owner.low();
        });
    benchmark::DoNotOptimize(sum);
  }
  count(state, out.payload.size());
}

void parse_uuid(benchmark::State& state) {
  std::mt19937_64 random(1);
  std::vector<std::string> texts;
  for (int i = 0; i < kEvents; ++i) texts.push_back(make_event(Shape::compact, random).substr(17, 36));
  for (auto _ : state)
    for (const std::string& text : texts) benchmark::DoNotOptimize(tracker::Uuid::parse(text));
  count(state, texts.size() * 36);
}

void one_event(benchmark::State& state) {
  std::mt19937_64 random(1);
  const std::string body = make_event(Shape::compact, random);
  ingest::Accepted out;
  auto request = request_of(body, "application/json");
  if (state.range(0) != 0) request.idempotency_key = "0f8fad5b-d9cb-469f-a165-70867728950e";
  for (auto _ : state) {
    if (ingest::read_boundary_events(request, out)) std::abort();
    benchmark::DoNotOptimize(out.payload.data());
  }
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("shape")->DenseRange(0, static_cast<int>(Shape::extra_nested));
}

BENCHMARK(simdjson_iterate_many)->Apply(shapes);
BENCHMARK(ingest_lines)->Apply(shapes);
BENCHMARK(ingest_array)->Apply(shapes);
BENCHMARK(ingest_lines_strict_reader_only)->Apply(shapes);
BENCHMARK(boost_json_events)->Apply(shapes);
BENCHMARK(decode_record);
BENCHMARK(parse_uuid);
BENCHMARK(one_event)->ArgName("keyed")->Arg(0)->Arg(1);

}  // namespace

BENCHMARK_MAIN();
