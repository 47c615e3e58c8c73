#include "daemon/ingest/detail/findings.hpp"

namespace tally::ingest::detail {

std::string Place::pointer() const {
  if (parent_ == nullptr) return {};
  std::string text = parent_->pointer() + '/';
  if (member_.data() == nullptr) return text += std::to_string(index_);
  for (const char c : member_) {
    if (c == '~')
      text += "~0";
    else if (c == '/')
      text += "~1";
    else
      text += c;
  }
  return text;
}

void Findings::add(const Place& place, std::string detail) {
  if (++count_ <= kMostProblems) problems_.push_back({place.pointer(), std::move(detail)});
}

void Findings::not_json(const Place& place, const char* why, std::size_t byte) {
  syntax_ = true;
  add(place, std::string("not JSON: ") + why + " at byte " + std::to_string(byte));
}

void Findings::invalid(const Place& place, std::string_view why) {
  add(place, std::string(why));
}

Refusal Findings::refusal() && {
  std::string detail = syntax_ ? "the body is not JSON" : "the body is JSON, but not what this route takes";
  if (count_ > kMostProblems)
    detail += "; the first " + std::to_string(kMostProblems) + " of " + std::to_string(count_) + " problems are listed";
  return {syntax_ ? 400 : 422, std::move(detail), std::move(problems_)};
}

}  // namespace tally::ingest::detail
