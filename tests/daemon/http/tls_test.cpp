#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "fixture.hpp"

namespace tally::http::test {
namespace {

using testing::HasSubstr;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

/// A key and its certificate, signed by itself or by another.
struct Identity {
  Key key{EVP_EC_gen("P-256"), EVP_PKEY_free};
  Certificate certificate{X509_new(), X509_free};

  explicit Identity(const char* name, const Identity* issuer = nullptr) {
    X509* x = certificate.get();
    X509_set_version(x, 2);
    static long serial = 0;
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->certificate.get() : x));
    X509_set_pubkey(x, key.get());
    X509_EXTENSION* may_sign =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, issuer ? "CA:FALSE" : "CA:TRUE");
    X509_add_ext(x, may_sign, -1);
    X509_EXTENSION_free(may_sign);
    X509_sign(x, issuer ? issuer->key.get() : key.get(), EVP_sha256());
  }

  void save(const std::string& certificate_file, const std::string& key_file) const {
    FILE* file = fopen(certificate_file.c_str(), "w");
    PEM_write_X509(file, certificate.get());
    fclose(file);
    file = fopen(key_file.c_str(), "w");
    PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
  }
};

/// Certificates in a directory that goes with the test.
struct Files {
  Files() {
    char name[] = "/tmp/tally_tls_XXXXXX";
    directory = mkdtemp(name);
    server.save(path("cert.pem"), path("key.pem"));
    authority.save(path("ca.pem"), path("ca.key"));
  }
  ~Files() { std::filesystem::remove_all(directory); }
  std::string path(const std::string& name) const { return directory + "/" + name; }
  TlsContext load(bool mutual = false) const {
    std::string problem;
    auto context = load_tls({path("cert.pem"), path("key.pem"), mutual ? path("ca.pem") : ""}, problem);
    EXPECT_TRUE(context.has_value()) << problem;
    return *context;
  }

  std::string directory;
  Identity server{"server"};
  Identity authority{"authority"};
};

struct TlsOptions {
  int version = 0;  ///< exactly this one; 0: what the library offers
  std::string ciphers;
  const Identity* identity = nullptr;
};

/// A blocking TLS client with the same patience as `Client`.
class TlsClient {
 public:
  TlsClient(const Endpoint& endpoint, const TlsOptions& options = {}) {
    context_ = SSL_CTX_new(TLS_client_method());
    if (options.version != 0) {
      SSL_CTX_set_min_proto_version(context_, options.version);
      SSL_CTX_set_max_proto_version(context_, options.version);
    }
    if (!options.ciphers.empty()) SSL_CTX_set_cipher_list(context_, options.ciphers.c_str());
    if (options.identity) {
      SSL_CTX_use_certificate(context_, options.identity->certificate.get());
      SSL_CTX_use_PrivateKey(context_, options.identity->key.get());
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr);
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{5, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_);
    connected = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(socket_);
    ERR_clear_error();
  }

  void send(std::string_view bytes) { SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())); }
  /// Everything until the server says goodbye.
  std::string read_to_end() {
    std::string all;
    char bytes[16384];
    for (int count; (count = SSL_read(ssl_, bytes, sizeof bytes)) > 0;)
      all.append(bytes, static_cast<std::size_t>(count));
    said_goodbye = (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0;
    return all;
  }
  std::string ask(std::string_view request) {
    send(request);
    return read_to_end();
  }
  std::string peer() const {
    const Certificate certificate(SSL_get1_peer_certificate(ssl_), X509_free);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name, sizeof name);
    return name;
  }
  std::string cipher() const { return SSL_get_cipher(ssl_); }

  bool connected = false;
  bool said_goodbye = false;

 private:
  SSL_CTX* context_;
  SSL* ssl_;
  int socket_;
};

const std::string kOnce = get("/hello", "Connection: close\r\n");

TEST(HttpTls, ServesRequestsAndSaysGoodbye) {
  const Files files;
  TestServer server({}, files.load());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server.endpoint, {.version = version});
    ASSERT_TRUE(client.connected);
    client.send(post("/echo", std::string(100'000, 'x')));
    EXPECT_THAT(client.ask(kOnce), HasSubstr(R"({"hello":true})"));
    EXPECT_TRUE(client.said_goodbye);
  }
}

TEST(HttpTls, SendsLargeAnswersWhole) {
  const Files files;
  TestServer server({}, files.load());
  TlsClient client(server.endpoint);
  EXPECT_GT(client.ask(get("/big", "Connection: close\r\n")).size(), 4U * 1024 * 1024);
}

TEST(HttpTls, RefusesOldVersionsAndCiphersWithoutForwardSecrecyOrAead) {
  const Files files;
  TestServer server({}, files.load());
  EXPECT_FALSE(TlsClient(server.endpoint, {.version = TLS1_1_VERSION, .ciphers = "ALL:@SECLEVEL=0"}).connected);
  EXPECT_FALSE(
      TlsClient(server.endpoint, {.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256"}).connected);
  EXPECT_FALSE(TlsClient(server.endpoint, {.version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256"}).connected);
  TlsClient good(server.endpoint, {.version = TLS1_2_VERSION});
  ASSERT_TRUE(good.connected);
  EXPECT_THAT(good.cipher(),
              testing::AllOf(testing::StartsWith("ECDHE-"), testing::AnyOf(HasSubstr("GCM"), HasSubstr("CHACHA20"))));
}

TEST(HttpTls, SurvivesClientsThatSpeakPlainly) {
  const Files files;
  TestServer server({}, files.load());
  Client plain = server.client();
  plain.send(get("/hello"));
  plain.read_to_end();
  Client vanished = server.client();
  vanished.send("\x16\x03\x01");
  vanished.reset();
  EXPECT_THAT(TlsClient(server.endpoint).ask(kOnce), HasSubstr("200 OK"));
  EXPECT_TRUE(server.wait_for_metric("tallyd_http_connections", 0));
}

TEST(HttpTls, EndsAHandshakeThatTakesTooLong) {
  const Files files;
  TestServer server([](ServerOptions& options) { options.deadlines = short_deadlines(); }, files.load());
  Client silent = server.client();
  EXPECT_TRUE(silent.ended());
  EXPECT_EQ(server.metric("tallyd_http_limits_reached_total{limit=\"header_deadline\"}"), 1);
}

TEST(HttpTls, GivesNewConnectionsANewCertificateAndKeepsOldOnes) {
  const Files files;
  TestServer server({}, files.load());
  TlsClient before(server.endpoint);
  EXPECT_EQ(before.peer(), "server");
  Identity("renewed").save(files.path("cert.pem"), files.path("key.pem"));
  server.server->use_tls(files.load());
  TlsClient after(server.endpoint);
  EXPECT_EQ(after.peer(), "renewed");
  EXPECT_THAT(before.ask(kOnce), HasSubstr("200 OK"));
  EXPECT_THAT(after.ask(kOnce), HasSubstr("200 OK"));
}

TEST(HttpTls, WithAClientCaAdmitsOnlyWhomItSigned) {
  const Files files;
  const Identity known("client", &files.authority);
  const Identity stranger("stranger");
  TestServer server({}, files.load(true));
  EXPECT_THAT(TlsClient(server.endpoint, {.identity = &known}).ask(kOnce), HasSubstr("200 OK"));
  EXPECT_EQ(TlsClient(server.endpoint, {.identity = &stranger}).ask(kOnce), "");
  EXPECT_EQ(TlsClient(server.endpoint).ask(kOnce), "");
}

TEST(HttpTls, AnswersAnEarlyErrorWhileTheClientStillSends) {
  const Files files;
  TestServer server({}, files.load());
  TlsClient client(server.endpoint);
  client.send("POST /secret HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n");
  for (int i = 0; i < 30; ++i) client.send(std::string(100'000, 'x'));
  EXPECT_THAT(client.read_to_end(), testing::StartsWith("HTTP/1.1 401 "));
}

TEST(HttpTlsFiles, AreRefusedWithTheReason) {
  const Files files;
  std::string problem;
  EXPECT_TRUE(load_tls({files.path("none.pem"), files.path("key.pem"), ""}, problem).has_error());
  EXPECT_THAT(problem, HasSubstr("none.pem"));
  EXPECT_TRUE(load_tls({files.path("cert.pem"), files.path("ca.key"), ""}, problem).has_error());
  EXPECT_THAT(problem, testing::AllOf(HasSubstr("cert.pem"), HasSubstr("ca.key")));
  EXPECT_TRUE(load_tls({files.path("cert.pem"), files.path("key.pem"), files.path("key.pem")}, problem).has_error());
  EXPECT_THAT(problem, HasSubstr("client CA"));
  Identity("other").save(files.path("other.pem"), files.path("other.key"));
  EXPECT_TRUE(load_tls({files.path("cert.pem"), files.path("other.key"), ""}, problem).has_error());
}

TEST(HttpTls, AllowsListeningBeyondLoopback) {
  const Files files;
  TestServer server({}, files.load(), Endpoint::parse("0.0.0.0:0").value());
  EXPECT_NE(server.endpoint.port, 0);
}

}  // namespace
}  // namespace tally::http::test
