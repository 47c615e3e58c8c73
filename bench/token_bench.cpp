#include <benchmark/benchmark.h>
#include <openssl/sha.h>

#include "authz/decision.hpp"
#include "daemon/auth/token_book.hpp"

/// What a request pays before its body is read: the Authorization header, the token by its hash, and a decision.
namespace {

using namespace tally;

const std::string kSecret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

std::string token_id(std::size_t number) {
  std::string text = std::to_string(number);
  return std::string(10 - text.size(), 'a') + text;
}

db::RightsChanges tokens(std::size_t count) {
  db::RightsChanges all;
  all.version = 1;
  for (std::size_t i = 0; i < count; ++i) {
    db::Token token;
    token.id = token_id(i);
    token.kind = db::SubjectKind::system;
    token.system_subject = "boundary_usage_tracker";
    SHA256(reinterpret_cast<const unsigned char*>(kSecret.data()), kSecret.size(), token.secret_sha256.data());
    all.tokens.push_back(std::move(token));
  }
  return all;
}

void authorize(benchmark::State& state) {
  const tracker::SystemClock clock;
  daemon::TokenBook book("/nonexistent", clock);
  const auto count = static_cast<std::size_t>(state.range(0));
  book.apply(tokens(count));
  std::vector<std::string> headers;
  for (std::size_t i = 0; i < count; ++i) headers.push_back("Bearer tly_" + token_id(i * 7919 % count) + "_" + kSecret);
  std::size_t i = 0;
  for (auto _ : state) {
    const auto bearer = daemon::parse_bearer(headers[i++ % count]);
    const auto answer = book.check(*bearer);
    const authz::Object object{.type = authz::Type::boundary_usage};
    benchmark::DoNotOptimize(authz::decide(answer.caller->subject, authz::Action::update, object));
  }
}
BENCHMARK(authorize)->Name("authorize/tokens")->Arg(1)->Arg(1000)->Arg(10000);

void hash_alone(benchmark::State& state) {
  std::array<unsigned char, 32> digest;
  for (auto _ : state) {
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, kSecret.data(), kSecret.size());
    SHA256_Final(digest.data(), &context);
    benchmark::DoNotOptimize(digest);
  }
}
BENCHMARK(hash_alone)->Name("sha256/of a secret, bare");

}  // namespace

BENCHMARK_MAIN();
