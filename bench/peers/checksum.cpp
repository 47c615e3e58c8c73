// The least that replaying a journal asks for: its files read in pieces of 256 KiB, with CRC32C over every byte.
// Prints the seconds that it took.
#include <fmt/format.h>

#include <fstream>
#include <vector>

#include "journal/detail/crc32c.hpp"
#include "tracker/clock.hpp"

int main(int count, char** paths) {
  const tally::tracker::SystemClock clock;
  const auto start = clock.steady();
  std::vector<char> piece(256 * 1024);
  std::uint32_t sum = 0;
  for (int i = 1; i < count; ++i) {
    std::ifstream file(paths[i], std::ios::binary);
    if (!file) return 1;
    while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())), file.gcount() > 0)
      sum ^= tally::journal::detail::crc32c(
          std::as_bytes(std::span(piece).first(static_cast<std::size_t>(file.gcount()))));
  }
  fmt::print("{:.6f} {:08x}\n", std::chrono::duration<double>(clock.steady() - start).count(), sum);
}
