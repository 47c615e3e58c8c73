#pragma once
#include <iosfwd>
#include <string>
#include <vector>

namespace tally::daemon::cli {

struct Bar {
  std::string label;
  std::string figure;  ///< decimal digits, any length
};

/// A line for each bar, the longest `columns` wide, the figures behind them. In eighths of a character, so that small
/// differences show; what is not 0 is never drawn as nothing.
void print_chart(std::ostream& out, const std::vector<Bar>& bars, int columns);

}  // namespace tally::daemon::cli
