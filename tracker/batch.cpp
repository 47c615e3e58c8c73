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

Sum parse_sum(std::string_view digits) {
  Sum sum = 0;
  for (const char digit : digits)
    if (digit >= '0' && digit <= '9') sum = sum * 10 + static_cast<unsigned>(digit - '0');
  return sum;
}

Sum all_requests(const FlushBatch& batch) {
  Sum sum = batch.allowed + batch.denied + batch.repeat_allowed + batch.repeat_denied;
  for (const KeyedEffect& effect : batch.effects) sum += effect.allowed + effect.denied;
  return sum;
}

}  // namespace tally::tracker
