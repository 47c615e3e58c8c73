#pragma once
#include <string>
#include <string_view>

#include "daemon/ingest/request.hpp"

namespace tally::ingest::detail {

/// A place in the body, as a chain on the stack: the pointer is only spelt out when there is something to say about it.
class Place {
 public:
  Place() = default;
  Place at(std::size_t index) const { return {this, {}, index}; }
  Place at(std::string_view member) const { return {this, member, 0}; }
  /// RFC 6901.
  std::string pointer() const;

 private:
  Place(const Place* parent, std::string_view member, std::size_t index)
      : parent_(parent), member_(member), index_(index) {}
  const Place* parent_ = nullptr;
  std::string_view member_;  // a null view: it is `index_` that counts
  std::size_t index_ = 0;
};

/// What is wrong with a body, in the order found.
class Findings {
 public:
  bool any() const { return count_ > 0; }
  /// The text is not JSON, from which 400 follows; otherwise it is 422.
  void not_json(const Place& place, const char* why, std::size_t byte);
  void invalid(const Place& place, std::string_view why);
  Refusal refusal() &&;

 private:
  void add(const Place& place, std::string detail);
  std::vector<Problem> problems_;
  std::size_t count_ = 0;
  bool syntax_ = false;
};

}  // namespace tally::ingest::detail
