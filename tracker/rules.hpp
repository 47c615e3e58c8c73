#pragma once
#include <string_view>

/// The rules of exact counting that can be switched off, one at a time, to prove that the tests notice. Only builds
/// with TALLY_MUTANTS (tests) can; in all others `holds` is a constant. Each place that asks is one rule; their names
/// and the tests that must fail without them are in tests/mutants/mutants.py. SQL has its own form:
/// db/detail/ruled_sql.hpp.
namespace tally::tracker {

#ifdef TALLY_MUTANTS
/// What the environment's TALLY_MUTANT names; empty: all rules hold.
std::string_view broken_rule() noexcept;
inline bool holds(std::string_view rule) noexcept {
  return rule != broken_rule();
}
#else
constexpr std::string_view broken_rule() noexcept {
  return {};
}
constexpr bool holds(std::string_view) noexcept {
  return true;
}
#endif

}  // namespace tally::tracker
