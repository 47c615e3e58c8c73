#include "daemon/http/tls.hpp"

#include <openssl/ssl.h>

namespace tally::http {
namespace {

using boost::system::error_code;
namespace ssl = boost::asio::ssl;

error_code say(std::string& problem, const std::string& what, const std::string& file, const error_code& ec) {
  problem = what + " '" + file + "': " + ec.message();
  return ec;
}

}  // namespace

tracker::Result<TlsContext> load_tls(const TlsFiles& files, std::string& problem) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  error_code ec;
  context->set_options(ssl::context::no_sslv2 | ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                           ssl::context::no_tlsv1_1 | ssl::context::no_compression | SSL_OP_NO_RENEGOTIATION |
                           SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA,
                       ec);
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // TLS 1.2 with forward secrecy and AEAD only; every suite of 1.3 is such.
  if (SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
    problem = "OpenSSL offers none of the ciphers";
    return make_error_code(boost::system::errc::not_supported);
  }
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  context->use_certificate_chain_file(files.certificate_chain, ec);
  if (ec) return say(problem, "TLS certificate", files.certificate_chain, ec);
  context->use_private_key_file(files.private_key, ssl::context::pem, ec);
  if (ec)
    return say(problem, "TLS private key of certificate '" + files.certificate_chain + "',", files.private_key, ec);
  if (!files.client_ca.empty()) {
    context->load_verify_file(files.client_ca, ec);
    if (ec) return say(problem, "TLS client CA", files.client_ca, ec);
    SSL_CTX_set_client_CA_list(native, SSL_load_client_CA_file(files.client_ca.c_str()));
    context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, ec);
  }
  // Sessions are resumed by ticket; the id context is asked for when client certificates are.
  static constexpr unsigned char kIdContext[] = "tallyd";
  SSL_CTX_set_session_id_context(native, kIdContext, sizeof kIdContext - 1);
  return context;
}

}  // namespace tally::http
