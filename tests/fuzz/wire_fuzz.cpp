#include <cstddef>
#include <cstdint>

#include "tests/daemon/http/wire_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tally::http::check_wire({reinterpret_cast<const char*>(data), size});
  return 0;
}
