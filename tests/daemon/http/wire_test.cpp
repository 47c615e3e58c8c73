#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "wire_properties.hpp"

namespace tally::http {
namespace {

std::uint32_t seed() {
  const char* given = std::getenv("TALLY_TEST_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : 20260101;
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(256 + text.size(), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// Changes a few places: bytes, whole tokens, repeats and cuts.
std::string mutate(std::string text, std::mt19937& random) {
  static constexpr std::array<std::string_view, 24> kTokens = {"\r\n",
                                                               "\n",
                                                               "\r",
                                                               " ",
                                                               "\t",
                                                               ":",
                                                               ";",
                                                               "0\r\n\r\n",
                                                               "5\r\nhello\r\n",
                                                               "ffffffffffffffff",
                                                               "Content-Length: 3\r\n",
                                                               "Transfer-Encoding: chunked\r\n",
                                                               "Transfer-Encoding: gzip, chunked\r\n",
                                                               "Expect: 100-continue\r\n",
                                                               "Connection: close\r\n",
                                                               "HTTP/1.0",
                                                               "HTTP/2.0",
                                                               "%2e%2e",
                                                               "%00",
                                                               "//",
                                                               "?",
                                                               "Host: b\r\n",
                                                               "\xff",
                                                               std::string_view("\0", 1)};
  for (unsigned changes = random() % 3; changes > 0 && !text.empty(); --changes) {
    const std::size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.insert(at, kTokens[random() % kTokens.size()]);
        break;
      case 2:
        text.insert(at, text.substr(at, random() % 40));
        break;
      default:
        text.erase(at, random() % 40);
    }
  }
  return text;
}

TEST(Wire, IsReadTheSameHoweverItIsCut) {
  const std::vector<std::string> seeds = {
      "POST /api/v1/boundary-usage/events?a=%41 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nContent-Type: "
      "application/json\r\nContent-Length: 2\r\n\r\n[]",
      "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nX-Request-Id: abc\r\n\r\n",
      "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "5\r\nhello\r\n3;name=\"value\"\r\nabc\r\n0\r\nTrailer: x\r\n\r\nGET /",
      "1000\r\n" + std::string(4096, 'x') + "\r\n0\r\n\r\n",
      gzip("{\"workspace_id\":1}"),
      gzip(std::string(4096, 'a')) + gzip(""),
      gzip(std::string(100'000, 'a')),
  };
  std::mt19937 random(seed());
  int heads = 0, bodies = 0, inflated = 0, rounds = 0;
  for (; rounds < 8'000; ++rounds) {
    const std::string input = mutate(seeds[random() % seeds.size()], random);
    WireOutcome outcome;
    ASSERT_NO_THROW(outcome = check_wire(input)) << "TALLY_TEST_SEED=" << seed() << ", round " << rounds;
    heads += outcome.head_taken;
    bodies += outcome.chunks_ended;
    inflated += outcome.inflated;
  }
  for (const int reached : {heads, bodies, inflated}) {
    EXPECT_GT(reached, rounds / 50);
    EXPECT_LT(reached, rounds / 2);
  }
}

}  // namespace
}  // namespace tally::http
