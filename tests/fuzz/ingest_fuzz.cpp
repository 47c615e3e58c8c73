#include <cstddef>
#include <cstdint>

#include "tests/daemon/ingest/differential.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tally::ingest::check_request({reinterpret_cast<const char*>(data), size});
  return 0;
}
