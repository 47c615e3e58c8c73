#include "tests/daemon/ingest/differential.hpp"

#include <array>
#include <memory>
#include <stdexcept>

#include "daemon/ingest/boundary.hpp"
#include "daemon/ingest/detail/boundary_event.hpp"
#include "daemon/ingest/detail/envelope.hpp"

namespace tally::ingest {
namespace {

struct WithoutScanner : detail::BoundaryEvent {
  struct Scanner {
    template <bool kLines>
    const char* scan(const char*, const char*, Event&) {
      return nullptr;
    }
  };
};

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void check_record(const Accepted& accepted) {
  if (!accepted.needs_record()) return;
  require(tracker::for_each_increment(accepted.type, std::as_bytes(std::span(accepted.payload)), [](const auto&) {}),
          "the record cannot be walked");
}

void check_refusal(const Refusal& refusal) {
  require(refusal.status == 400 || refusal.status == 413 || refusal.status == 415 || refusal.status == 422, "status");
  require(refusal.errors.size() <= kMostProblems, "too many problems");
}

}  // namespace

Outcome check_request(std::string_view input) {
  if (input.empty()) return {};
  const auto choice = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  // A block of exactly that size, so that a sanitizer sees a read beyond it.
  const auto block = std::make_unique<char[]>(input.size());
  std::copy(input.begin(), input.end(), block.get());

  static constexpr std::array<std::string_view, 4> kTypes = {
      "application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"};
  static constexpr Header kHeaders[] = {
      {"ce-specversion", "1.0"}, {"ce-type", "tallyd.boundary_usage.v1"}, {"ce-source", "s"}, {"ce-id", "1"}};
  Request request;
  request.content_type = kTypes[choice % 4];
  request.body = {block.get(), input.size()};
  request.subject = KeySubject::system("fuzz");
  if ((choice & 4) != 0) request.idempotency_key = "key";
  if ((choice & 8) != 0) request.headers = kHeaders;

  if ((choice & 16) != 0) {
    Accepted logs;
    LogBatch batch;
    const auto refusal = read_boundary_logs(request, logs, batch);
    if (refusal)
      check_refusal(*refusal);
    else
      check_record(logs);
    return {!refusal, refusal ? refusal->status : 202};
  }
  Accepted fast, slow;
  const auto fast_refusal = detail::Envelope<detail::BoundaryEvent>(request).read(fast);
  const auto slow_refusal = detail::Envelope<WithoutScanner>(request).read(slow);
  require(fast_refusal.has_value() == slow_refusal.has_value(), "the scanner decides otherwise");
  if (fast_refusal) {
    check_refusal(*fast_refusal);
    require(fast_refusal->status == slow_refusal->status, "another status with the scanner");
    require(fast_refusal->errors == slow_refusal->errors, "other problems with the scanner");
  } else {
    check_record(fast);
    require(fast.type == slow.type && fast.events == slow.events && fast.payload == slow.payload,
            "another record with the scanner");
  }
  return {!fast_refusal, fast_refusal ? fast_refusal->status : 202};
}

std::string mutate(std::string text, std::mt19937& random) {
  static constexpr std::array<std::string_view, 40> kTokens = {"\"workspace_id\"",
                                                               "\"owner_id\"",
                                                               "\"allowed\"",
                                                               "\"denied\"",
                                                               "\"time\"",
                                                               "\"time\":1",
                                                               "\"a\":1",
                                                               ",\"b\":\"x\"",
                                                               "{",
                                                               "}",
                                                               "[",
                                                               "]",
                                                               ",",
                                                               ":",
                                                               "\"",
                                                               "\\",
                                                               "\n",
                                                               "\r\n",
                                                               " ",
                                                               "\t",
                                                               "0",
                                                               "-0",
                                                               "1.0",
                                                               "1e2",
                                                               "9007199254740991",
                                                               "9007199254740992",
                                                               "18446744073709551616",
                                                               "null",
                                                               "true",
                                                               "false",
                                                               "\\u0061",
                                                               "\\ud800",
                                                               "\xc3\xa9",
                                                               "\xff",
                                                               "{}",
                                                               "[]",
                                                               "2026-01-01T00:00:00Z",
                                                               "\"\"",
                                                               "1",
                                                               "\\\""};
  for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
    const std::size_t at = text.empty() ? 0 : random() % text.size();
    switch (random() % 6) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.insert(at, kTokens[random() % kTokens.size()]);
        break;
      case 2:
        text.erase(at, 1 + random() % 4);
        break;
      case 3:
        text.replace(at, std::min<std::size_t>(text.size() - at, 1 + random() % 3), kTokens[random() % kTokens.size()]);
        break;
      case 4:
        text.insert(at, text.substr(random() % (text.size() + 1), random() % 60));
        break;
      default:
        if (random() % 8 == 0) text.resize(at);
        break;
    }
  }
  return text;
}

}  // namespace tally::ingest
