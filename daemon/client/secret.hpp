#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace tally::daemon::client {

/// Wiped when it goes.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  void wipe() noexcept;
  std::string text_;
};

/// The content of a file without its last line end, 1 byte to 4 KiB. `problem` says what is wrong, without the content.
std::optional<Secret> read_secret(const std::filesystem::path& file, std::string& problem);
/// It can stand behind `Authorization: Bearer`.
bool is_bearer_token(const Secret& secret);
/// Lower-case hex of HMAC-SHA256.
std::string hmac_sha256(const Secret& key, std::string_view text);

}  // namespace tally::daemon::client
