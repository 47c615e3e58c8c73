#include "daemon/http/accept.hpp"

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <string>

namespace tally::http {
namespace {

using boost::algorithm::iequals;

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes what precedes `separator` off the front of `rest`.
std::string_view next(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

/// A weight as thousandths: `0`, `1`, or either with up to three decimals. 0 for what is none.
int thousandths(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return 0;
  if (text.size() > 1 && text[1] != '.') return 0;
  int value = text[0] == '1' ? 1000 : 0;
  int worth = 100;
  for (const char digit : text.substr(std::min<std::size_t>(text.size(), 2))) {
    if (digit < '0' || digit > '9') return 0;
    value += (digit - '0') * worth;
    worth /= 10;
  }
  return value > 1000 ? 0 : value;
}

/// What is accepted of one media type: the most specific range decides.
struct Accepted {
  int quality = 0;
  int specificity = 0;  ///< 1 for */*, 2 for the type's own wildcard, 3 for its name
  void offer(int range_quality, int range_specificity) {
    if (range_specificity < specificity) return;
    quality = range_specificity > specificity ? range_quality : std::max(quality, range_quality);
    specificity = range_specificity;
  }
};

}  // namespace

bool prefers(std::span<const Field> fields, std::string_view type, std::string_view usual) {
  Accepted wanted;
  Accepted other;
  const std::string family = std::string(usual.substr(0, usual.find('/'))) + "/*";
  for (const Field& field : fields) {
    if (!iequals(field.name, "Accept")) continue;
    std::string_view ranges = field.value;
    while (!ranges.empty()) {
      std::string_view range = next(ranges, ',');
      const std::string_view name = next(range, ';');
      int quality = 1000;
      while (!range.empty()) {
        std::string_view parameter = next(range, ';');
        if (iequals(next(parameter, '='), "q")) quality = thousandths(trim(parameter));
      }
      if (iequals(name, type)) wanted.offer(quality, 3);
      if (name == "*/*") other.offer(quality, 1);
      if (iequals(name, family)) other.offer(quality, 2);
      if (iequals(name, usual)) other.offer(quality, 3);
    }
  }
  return wanted.quality > 0 && wanted.quality >= other.quality;
}

}  // namespace tally::http
