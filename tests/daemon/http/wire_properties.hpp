#pragma once
#include <string_view>

namespace tally::http {

/// What came of one input, to see that a generator reaches both sides.
struct WireOutcome {
  bool head_taken = false;
  bool chunks_ended = false;
  bool inflated = false;
};

/// Reads `input` as a head, as a chunked body and as gzip, and throws `std::logic_error` where the answer depends on
/// how the bytes were cut into reads, or where a limit does not hold.
WireOutcome check_wire(std::string_view input);

}  // namespace tally::http
