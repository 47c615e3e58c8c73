#include "tracker/batch.hpp"

#include <algorithm>

namespace tally::tracker {

std::string to_string(Sum sum) {
  if (sum == 0) return "0";
  std::string digits;
  for (; sum != 0; sum /= 10) digits.push_back(static_cast<char>('0' + static_cast<unsigned>(sum % 10)));
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace tally::tracker
