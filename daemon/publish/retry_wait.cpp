#include "daemon/publish/retry_wait.hpp"

#include <algorithm>

namespace tally::daemon {

using std::chrono::milliseconds;

milliseconds retry_wait(std::int64_t attempts, double random, std::optional<milliseconds> asked_for) {
  constexpr milliseconds kFirst{200};
  constexpr milliseconds kLongest{30'000};
  const auto doublings = std::clamp<std::int64_t>(attempts, 1, 20);
  const milliseconds bound = std::min<milliseconds>(kLongest, kFirst * (1LL << doublings));
  const auto spread = static_cast<double>((bound - kFirst).count()) * random;
  return std::max(kFirst + milliseconds(static_cast<milliseconds::rep>(spread)), asked_for.value_or(milliseconds(0)));
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  std::string shown(text.substr(0, kLongest));
  for (char& c : shown)
    if (c < ' ' || c > '~') c = ' ';
  return shown;
}

}  // namespace tally::daemon
