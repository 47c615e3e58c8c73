#pragma once
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/ingest/detail/values.hpp"

/// The context attributes of CloudEvents 1.0: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
namespace tally::ingest::detail {

/// `data` stands last and is not an attribute. Attributes that are not listed are extensions, which mean nothing here.
inline constexpr std::string_view kCloudEventMembers[] = {"specversion",     "type",        "source", "id", "time",
                                                          "datacontenttype", "data_base64", "data"};
inline constexpr std::size_t kCloudEventAttributes = std::size(kCloudEventMembers) - 1;

class CloudEventAttributes {
 public:
  /// One attribute of `kCloudEventMembers`. Returns what is wrong with its value, or nothing.
  const char* set(std::size_t attribute, std::string_view value, std::string_view wanted_type);
  /// The same from JSON, where null stands for an attribute that is not there.
  void take(std::size_t attribute, JsonReader& reader, const Place& place, Findings& findings,
            std::string_view wanted_type);
  /// Which of the required ones is still not there, if any. Call until it says nothing.
  std::optional<std::size_t> next_missing();

  const std::string& source() const { return source_; }
  const std::string& id() const { return id_; }

 private:
  std::string source_;
  std::string id_;
  unsigned given_ = 0;  // also those whose value was wrong: they are not missing
};

/// The attributes of a binary-mode request (CloudEvents HTTP binding, 3.1.3). A refusal is a 400.
std::optional<Refusal> read_headers(std::span<const Header> headers, std::string_view wanted_type,
                                    CloudEventAttributes& out);

/// Takes quotes and one round of percent-encoding off; nothing if that is malformed.
std::optional<std::string> decode_header_value(std::string_view value);

/// "ce-id" gives "id", in any letter case; nothing for a name without the prefix.
std::optional<std::string_view> attribute_name(std::string_view header_name);

}  // namespace tally::ingest::detail
