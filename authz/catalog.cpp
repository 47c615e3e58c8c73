#include "authz/catalog.hpp"

#include <algorithm>

namespace tally::authz {
namespace {

template <class Value>
struct Word {
  std::string_view text;
  Value value;
};

template <class Value, std::size_t N, class NameOf>
consteval std::array<Word<Value>, N> sorted_words(NameOf name_of) {
  std::array<Word<Value>, N> words{};
  for (std::size_t i = 0; i < N; ++i) words[i] = {name_of(static_cast<Value>(i)), static_cast<Value>(i)};
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) { return a.text < b.text; });
  return words;
}

constexpr auto kTypeWords = sorted_words<Type, kTypeCount>([](Type type) { return name(type); });
constexpr auto kActionWords = sorted_words<Action, kActionCount>([](Action action) { return name(action); });

template <class Words>
auto find_word(const Words& words, std::string_view text) noexcept -> std::optional<decltype(words[0].value)> {
  const auto at = std::lower_bound(words.begin(), words.end(), text,
                                   [](const auto& each, std::string_view wanted) { return each.text < wanted; });
  if (at == words.end() || at->text != text) return std::nullopt;
  return at->value;
}

}  // namespace

std::optional<Type> find_type(std::string_view word) noexcept {
  return find_word(kTypeWords, word);
}
std::optional<Action> find_action(std::string_view word) noexcept {
  return find_word(kActionWords, word);
}

}  // namespace tally::authz
