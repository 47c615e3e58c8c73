#pragma once
#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "tracker/errors.hpp"

namespace tally::http {

struct TlsFiles {
  std::string certificate_chain;  ///< PEM
  std::string private_key;        ///< PEM
  std::string client_ca;          ///< PEM; not empty: clients must show a certificate signed by it
};

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

/// TLS 1.2 with ECDHE and AEAD, or 1.3. The error's message says which file is wrong and why.
tracker::Result<TlsContext> load_tls(const TlsFiles& files, std::string& problem);

}  // namespace tally::http
