#include <cstddef>
#include <cstdint>

#include "tests/daemon/ingest/connection_differential.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (size > 0 && data[0] >= 128)
    tally::ingest::check_connection_payload(input.substr(1));
  else
    tally::ingest::check_connection_request(input);
  return 0;
}
