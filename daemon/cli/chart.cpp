#include "daemon/cli/chart.hpp"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "daemon/cli/table.hpp"

namespace tally::daemon::cli {
namespace {

constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

double value(const std::string& digits) {
  double sum = 0;
  for (const char digit : digits)
    if (digit >= '0' && digit <= '9') sum = sum * 10 + (digit - '0');
  return sum;
}

std::string bar(double share, int columns) {
  const auto eighths = share == 0 ? 0 : std::max(1, static_cast<int>(std::lround(share * columns * 8)));
  std::string text;
  for (int i = 0; i < eighths / 8; ++i) text += "█";
  return text + kEighths[eighths % 8];
}

}  // namespace

void print_chart(std::ostream& out, const std::vector<Bar>& bars, int columns) {
  double most = 0;
  std::size_t label_width = 0;
  for (const Bar& one : bars) {
    most = std::max(most, value(one.figure));
    label_width = std::max(label_width, one.label.size());
  }
  for (const Bar& one : bars) {
    const std::string drawn = bar(most == 0 ? 0 : value(one.figure) / most, columns);
    out << printable(one.label) << std::string(label_width - one.label.size() + 2, ' ') << drawn
        << (drawn.empty() ? "" : " ") << one.figure << '\n';
  }
}

}  // namespace tally::daemon::cli
