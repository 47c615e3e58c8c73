#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "daemon/client/proxy.hpp"
#include "daemon/client/retry_after.hpp"
#include "daemon/client/secret.hpp"
#include "daemon/client/url.hpp"
#include "daemon/publish/retry_wait.hpp"

namespace tally::daemon::client {
namespace {

using namespace std::chrono_literals;

TEST(Url, NamesHostPortAndTarget) {
  EXPECT_EQ(parse_url("https://c.example/r?x=1#y"), (Url{true, "c.example", 443, "/r?x=1"}));
  EXPECT_EQ(parse_url("http://c.example"), (Url{false, "c.example", 80, "/"}));
  EXPECT_EQ(parse_url("http://[::1]:7291/a%20b"), (Url{false, "::1", 7291, "/a%20b"}));
}

TEST(Url, IsRefusedWhereItCannotBePostedTo) {
  for (const char* text :
       {"", "c.example/r", "ftp://c.example/", "https://u:p@c.example/", "http://:80/", "http://c.example:0/",
        "http://c.example:99999/", "http://c.example/%zz", "http://c.example/ x"})
    EXPECT_FALSE(parse_url(text)) << text;
}

TEST(Url, AuthorityIsWhatAHostHeaderSays) {
  EXPECT_EQ(authority(*parse_url("https://c.example/")), "c.example");
  EXPECT_EQ(authority(*parse_url("https://c.example:80/")), "c.example:80");
  EXPECT_EQ(authority(*parse_url("http://[::1]:8080/")), "[::1]:8080");
}

std::string chosen(const ProxySettings& settings, std::string_view url) {
  std::string problem;
  const auto proxy = choose_proxy(settings, *parse_url(url), problem);
  if (!problem.empty()) return "problem";
  return proxy ? proxy->host + ":" + std::to_string(proxy->port) + " " + proxy->authorization : "direct";
}

TEST(Proxy, IsChosenByTheSchemeOfTheUrl) {
  const ProxySettings settings{.http = "http://plain:3128", .https = "secure:8080", .no_proxy = ""};
  EXPECT_EQ(chosen(settings, "http://c.example/"), "plain:3128 ");
  EXPECT_EQ(chosen(settings, "https://c.example/"), "secure:8080 ");
  EXPECT_EQ(chosen({}, "https://c.example/"), "direct");
}

TEST(Proxy, IsLeftOutForLoopbackAndWhereNoProxySaysSo) {
  const ProxySettings settings{.http = "http://p:1", .https = "", .no_proxy = "internal, .corp.example ,10.0.0.1"};
  for (const char* url : {"http://localhost/", "http://127.0.0.1/", "http://[::1]/", "http://internal/",
                          "http://a.internal/", "http://corp.example/", "http://A.Corp.Example/", "http://10.0.0.1/"})
    EXPECT_EQ(chosen(settings, url), "direct") << url;
  EXPECT_EQ(chosen(settings, "http://notinternal/"), "p:1 ");
  EXPECT_EQ(chosen({.http = "http://p:1", .https = "", .no_proxy = "*"}, "http://c.example/"), "direct");
}

TEST(Proxy, CarriesItsUserAndIsNeverGoneAroundBecauseItsUrlIsWrong) {
  EXPECT_EQ(chosen({.http = "http://u:p%40ss@p:1", .https = "", .no_proxy = ""}, "http://c.example/"),
            "p:1 Basic dTpwQHNz");
  EXPECT_EQ(chosen({.http = "socks5://p:1", .https = "", .no_proxy = ""}, "http://c.example/"), "problem");
}

TEST(RetryAfter, TakesSecondsAndDatesWithinItsBound) {
  const tracker::WallTime now{1'000'000s};
  EXPECT_EQ(retry_after("7", "", now, 1h), 7s);
  EXPECT_EQ(retry_after("0", "", now, 1h), 0s);
  EXPECT_EQ(retry_after("999999999999999999999", "", now, 1h), 1h);
  EXPECT_EQ(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", now, 1h), 10s)
      << "by the clock of whoever asks";
  EXPECT_EQ(retry_after("Thu, 01 Jan 1970 00:00:00 GMT", "", now, 1h), 0s) << "past";
  for (const char* text : {"", "soon", "-1", "1.5", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT"})
    EXPECT_FALSE(retry_after(text, "", now, 1h)) << text;
}

TEST(RetryWait, DoublesFromAFifthOfASecondToHalfAMinuteAndHonoursALongerWish) {
  EXPECT_EQ(retry_wait(1, 0.0), 200ms);
  EXPECT_LE(retry_wait(1, 0.999), 400ms);
  EXPECT_GT(retry_wait(5, 0.999), 6s);
  EXPECT_LE(retry_wait(1'000'000'000, 0.999), 30s);
  EXPECT_GT(retry_wait(1'000'000'000, 0.999), 29s);
  EXPECT_EQ(retry_wait(1, 0.5, 60'000ms), 60s);
  EXPECT_EQ(retry_wait(1, 0.0, 1ms), 200ms);
}

TEST(Excerpt, IsOneShortLineOfPrintableAscii) {
  EXPECT_EQ(excerpt("a\r\n\x1b[31mb\xff"), "a   [31mb ");
  EXPECT_EQ(excerpt(std::string(1000, 'x')).size(), 200u);
}

class SecretFile : public testing::Test {
 protected:
  SecretFile() {
    char name[] = "/tmp/tally_secret_XXXXXX";
    ::close(::mkstemp(name));
    path = name;
  }
  ~SecretFile() override { std::filesystem::remove(path); }
  std::string read(std::string_view content) {
    std::ofstream(path, std::ios::binary) << content;
    problem.clear();
    const auto secret = read_secret(path, problem);
    return secret ? secret->text() : "refused";
  }
  std::filesystem::path path;
  std::string problem;
};

TEST_F(SecretFile, IsReadWithoutItsLastLineEnd) {
  EXPECT_EQ(read("token\n"), "token");
  EXPECT_EQ(read("token\r\n"), "token");
  EXPECT_EQ(read(std::string(4096, 'x') + "\n").size(), 4096u);
  EXPECT_EQ(read("a\nb\n"), "a\nb");
}

TEST_F(SecretFile, SaysWhatIsWrongWithoutItsContent) {
  EXPECT_EQ(read(""), "refused");
  EXPECT_EQ(read("\n"), "refused");
  EXPECT_EQ(read(std::string(5000, 'x')), "refused");
  EXPECT_EQ(problem, "'" + path.string() + "' holds more than 4 KiB");
  std::filesystem::remove(path);
  EXPECT_FALSE(read_secret(path, problem));
  EXPECT_NE(problem.find("cannot be read"), std::string::npos);
  EXPECT_FALSE(read_secret("/", problem)) << "a directory";
}

TEST(Secret, IsATokenOnlyAsOneWordOfVisibleAscii) {
  EXPECT_TRUE(is_bearer_token(Secret("abc-._~+/=")));
  for (const char* text : {"", "a b", "a\nX-Evil: 1", "\xc3\xa4"}) EXPECT_FALSE(is_bearer_token(Secret(text))) << text;
}

TEST(Secret, SignsAsRfc4231Does) {
  EXPECT_EQ(hmac_sha256(Secret("Jefe"), "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

}  // namespace
}  // namespace tally::daemon::client
