#pragma once
#include <string_view>

namespace tally::ingest::detail {

enum class MediaType { json, ndjson, cloud_event, cloud_event_batch, other };

/// What a `Content-Type` names. `other` also when it says a charset that is not UTF-8; other parameters do not matter.
MediaType media_type(std::string_view content_type);

/// Whether the value names JSON at all: application/json, text/json or a type that ends in +json.
bool is_some_json(std::string_view content_type);

bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace tally::ingest::detail
