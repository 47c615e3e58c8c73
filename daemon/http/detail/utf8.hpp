#pragma once
#include <cstddef>
#include <string_view>

namespace tally::http::detail {

/// Length of the valid UTF-8 sequence at the start of `text` (not empty), or 0.
std::size_t utf8_sequence(std::string_view text) noexcept;
bool is_utf8(std::string_view text) noexcept;

}  // namespace tally::http::detail
