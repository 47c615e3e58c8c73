#include "daemon/client/secret.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace tally::daemon::client {
namespace {

constexpr std::size_t kLongest = 4096;

}  // namespace

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    text_ = std::move(other.text_);
    other.wipe();
  }
  return *this;
}

void Secret::wipe() noexcept {
  if (!text_.empty()) OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

std::optional<Secret> read_secret(const std::filesystem::path& file, std::string& problem) {
  const auto say = [&](const std::string& what) {
    problem = "'" + file.string() + "' " + what;
    return std::nullopt;
  };
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return say("cannot be read: " + std::generic_category().message(errno));
  std::string text(kLongest + 2, '\0');
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < text.size() && (got = ::read(descriptor, text.data() + size, text.size() - size)) > 0)
    size += static_cast<std::size_t>(got);
  const int error = errno;
  ::close(descriptor);
  if (got < 0) {
    OPENSSL_cleanse(text.data(), text.size());
    return say("cannot be read: " + std::generic_category().message(error));
  }
  if (size > 0 && text[size - 1] == '\n') --size;
  if (size > 0 && text[size - 1] == '\r') --size;
  Secret secret(text.substr(0, std::min(size, kLongest)));
  OPENSSL_cleanse(text.data(), text.size());
  if (size == 0) return say("is empty");
  if (size > kLongest) return say("holds more than 4 KiB");
  return secret;
}

bool is_bearer_token(const Secret& secret) {
  return !secret.empty() &&
         std::all_of(secret.text().begin(), secret.text().end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

std::string hmac_sha256(const Secret& key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.text().data(), static_cast<int>(key.text().size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kHex[digest[i] >> 4];
    hex += kHex[digest[i] & 15];
  }
  return hex;
}

}  // namespace tally::daemon::client
