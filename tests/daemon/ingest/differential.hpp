#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace tally::ingest {

/// What came of one body, to see that a generator reaches both sides.
struct Outcome {
  bool accepted = false;
  int status = 0;
};

/// Reads `input` as a request, once as it is and once with the scanner switched off, and throws `std::logic_error` when
/// they differ in anything, or when the record cannot be walked. The first byte of `input` chooses form and key; the
/// rest is the body.
Outcome check_request(std::string_view input);

/// Changes a few places: bytes, whole tokens, repeats and cuts.
std::string mutate(std::string text, std::mt19937& random);

}  // namespace tally::ingest
