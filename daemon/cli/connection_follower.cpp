#include "daemon/cli/connection_follower.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <tuple>
#include <utility>

#include "daemon/cli/table.hpp"
#include "daemon/counting/stream_driver.hpp"

namespace tally::daemon::cli {
namespace {

using db::ConnectionFilter;
using db::ConnectionShown;
using namespace std::chrono_literals;

constexpr auto kEvery = 1s;
constexpr std::int64_t kPage = 1'000;
constexpr std::int64_t kNewest = 100;
constexpr std::size_t kAskedPerRound = 2'000;
constexpr std::size_t kMostOngoing = 20'000;
constexpr std::size_t kMostOthers = 100'000;
constexpr std::size_t kMostTaken = 10'000;

bool is_behind(const db::ConnectionPlace& a, const db::ConnectionPlace& b) {
  return std::tie(a.at_us, a.entry) < std::tie(b.at_us, b.entry);
}

bool is_ongoing(const ConnectionShown& entry) {
  return entry.state == ConnectionShown::State::ongoing;
}

std::string text_of(const std::optional<std::int64_t>& number) {
  return number ? std::to_string(*number) : "-";
}

/// Everything that is shown of an entry but the names of ids, which others change.
std::size_t sign_of(const ConnectionShown& entry) {
  std::string text;
  for (const std::optional<std::int64_t>& number : {entry.connect_us, entry.disconnect_us, entry.code, entry.lost_us})
    text += text_of(number) + ' ';
  for (const std::optional<std::string>& said : {entry.reason, entry.ip, entry.user_agent, entry.slug_or_port})
    text += said ? fmt::format("{}:{}", said->size(), *said) : "-";
  for (const std::string& said : {entry.workspace_name, entry.agent_name, entry.type})
    text += fmt::format("{}:{}", said.size(), said);
  text += entry.owner.to_string() + (entry.user ? entry.user->to_string() : "-");
  text += std::to_string(static_cast<int>(entry.state));
  return std::hash<std::string>()(text);
}

}  // namespace

ConnectionFollower::ConnectionFollower(Database& database, db::ConnectionLog& log, ConnectionFilter filter,
                                       ConnectionPrinter& printer)
    : database_(database), log_(log), arrivals_(database.pool()), filter_(std::move(filter)), printer_(printer) {
  status_ = filter_.status;
  filter_.status.reset();
}

void ConnectionFollower::run(std::int64_t limit) {
  mark_ = database_.wait("read the connection log", arrivals_.since({}, {}, 0)).mark;
  watch_ongoing();
  show_present(limit);
  while (std::cout.flush()) {
    database_.pause(kEvery);
    round();
  }
}

db::ConnectionPageRequest ConnectionFollower::request(std::int64_t limit) const {
  db::ConnectionPageRequest made;
  made.filter = filter_;
  made.rights = db::ConnectionRights::everything();
  made.limit = limit;
  return made;
}

/// Pages come newest first and are shown the other way round: only the places between them are kept meanwhile.
void ConnectionFollower::show_present(std::int64_t limit) {
  db::ConnectionPageRequest wanted = request(std::min(limit, kPage));
  wanted.filter.status = status_;
  const auto read_page = [&] { return database_.wait("read the connection log", log_.page(wanted)); };
  const db::ConnectionPage newest = read_page();
  db::ConnectionPage page;
  page.next = newest.next;
  std::vector<db::ConnectionCursor> between;
  for (std::int64_t left = limit - wanted.limit; page.next && left > 0; left -= wanted.limit) {
    between.push_back(*page.next);
    wanted.after = page.next;
    wanted.limit = std::min(left, kPage);
    page = read_page();
  }
  if (page.next) oldest_ = page.next->place;
  show_backwards(page);
  wanted.limit = kPage;
  while (between.size() > 1 && std::cout) {
    between.pop_back();
    wanted.after = between.back();
    show_backwards(read_page());
  }
  show_backwards(newest);
}

void ConnectionFollower::show_backwards(const db::ConnectionPage& page) {
  for (const ConnectionShown& entry : page.entries) {
    known_[entry.place.entry] = {sign_of(entry), entry.place, true, is_ongoing(entry)};
    taken_.push_back(entry);
  }
  show_taken();
  std::cout.flush();
  forget_oldest(true, kMostOngoing);
  forget_oldest(false, kMostOthers);
}

/// What may end, shown or not.
void ConnectionFollower::watch_ongoing() {
  db::ConnectionPageRequest wanted = request(kPage);
  wanted.filter.status = ConnectionFilter::Status::ongoing;
  for (std::size_t seen = 0; seen < kMostOngoing / 2; seen += kPage) {
    const db::ConnectionPage page = database_.wait("read the connection log", log_.page(wanted));
    for (const ConnectionShown& entry : page.entries)
      known_.try_emplace(entry.place.entry, Known{sign_of(entry), entry.place, false, true});
    if (!page.next) break;
    wanted.after = page.next;
  }
}

/// What cannot be read ends the round: the next one has it.
void ConnectionFollower::round() {
  const bool whole = take_arrivals() && take_newest() && take_watched();
  show_taken();
  forget_oldest(true, kMostOngoing);
  forget_oldest(false, kMostOthers);
  if (whole && std::exchange(away_, false)) std::cerr << "tallyd: the database is back" << std::endl;
}

bool ConnectionFollower::take_arrivals() {
  std::optional<db::ConnectionMark> reached;
  tracker::Uuid behind;
  while (true) {
    auto seen = database_.attempt(arrivals_.since(mark_, behind, kPage));
    if (!seen) return failed(seen.error());
    if (!reached) reached = std::move(seen->mark);
    if (seen->entries.empty()) break;
    behind = seen->entries.back();
    db::ConnectionPageRequest wanted = request(kPage);
    const bool last = seen->entries.size() < static_cast<std::size_t>(kPage);
    wanted.entries = std::move(seen->entries);
    if (!read(std::move(wanted), Source::arrivals)) return false;
    if (last) break;
  }
  mark_ = std::move(reached);
  return true;
}

/// Entries that are over may change too: a session opens again, or its end turns out to be a later one.
bool ConnectionFollower::take_newest() {
  return read(request(kNewest), Source::log);
}

bool ConnectionFollower::take_watched() {
  if (to_ask_.empty())
    for (const auto& [entry, known] : known_)
      if (known.ongoing) to_ask_.push_back(entry);
  for (std::size_t asked = 0; asked < kAskedPerRound && !to_ask_.empty();) {
    std::vector<tracker::Uuid> entries;
    for (; entries.size() < static_cast<std::size_t>(kPage) && !to_ask_.empty(); to_ask_.pop_front())
      entries.push_back(to_ask_.front());
    asked += entries.size();
    if (!take_watched(std::move(entries))) return false;
  }
  return true;
}

/// Whatever the filter is: it found them once. What is no longer there is forgotten.
bool ConnectionFollower::take_watched(std::vector<tracker::Uuid> entries) {
  db::ConnectionPageRequest wanted = request(kPage);
  wanted.filter = {};
  wanted.entries = entries;
  const auto page = database_.attempt(log_.page(std::move(wanted)));
  if (!page) return failed(page.error());
  for (const ConnectionShown& entry : page->entries) {
    take(entry, Source::log);
    std::erase(entries, entry.place.entry);
  }
  for (const tracker::Uuid& gone : entries) known_.erase(gone);
  return true;
}

bool ConnectionFollower::read(db::ConnectionPageRequest wanted, Source source) {
  const auto page = database_.attempt(log_.page(std::move(wanted)));
  if (!page) return failed(page.error());
  for (const ConnectionShown& entry : page->entries) take(entry, source);
  if (taken_.size() >= kMostTaken) show_taken();
  return true;
}

/// Keeps what is new or has changed.
void ConnectionFollower::take(const ConnectionShown& entry, Source source) {
  const auto known = known_.find(entry.place.entry);
  const bool is_new = known == known_.end();
  if (is_new && source == Source::log && oldest_ && !is_behind(*oldest_, entry.place)) return;
  const std::size_t sign = sign_of(entry);
  if (!is_new && known->second.sign == sign) return;
  const bool shows = is_wanted(entry) || (!is_new && known->second.shown);
  known_[entry.place.entry] = {sign, entry.place, shows, is_ongoing(entry)};
  if (shows) taken_.push_back(entry);
}

bool ConnectionFollower::is_wanted(const ConnectionShown& entry) const {
  if (!status_) return true;
  return entry.state == (*status_ == ConnectionFilter::Status::ongoing ? ConnectionShown::State::ongoing
                                                                       : ConnectionShown::State::completed);
}

void ConnectionFollower::show_taken() {
  std::sort(taken_.begin(), taken_.end(), [](const auto& a, const auto& b) { return is_behind(a.place, b.place); });
  for (const ConnectionShown& entry : taken_) printer_.one(entry);
  taken_.clear();
}

/// Whoever runs this for months must not run out of memory.
void ConnectionFollower::forget_oldest(bool ongoing, std::size_t most) {
  if (known_.size() <= most) return;
  std::vector<db::ConnectionPlace> places;
  for (const auto& [entry, known] : known_)
    if (known.ongoing == ongoing) places.push_back(known.place);
  if (places.size() <= most) return;
  const auto first_gone = places.begin() + static_cast<std::ptrdiff_t>(most / 2);
  std::nth_element(places.begin(), first_gone, places.end(),
                   [](const auto& a, const auto& b) { return is_behind(b, a); });
  if (!oldest_ || is_behind(*oldest_, *first_gone)) oldest_ = *first_gone;
  std::erase_if(known_, [&](const auto& one) {
    return one.second.ongoing == ongoing && !is_behind(*first_gone, one.second.place);
  });
}

/// Told once, and once more when it is back. What waiting does not mend ends the command.
bool ConnectionFollower::failed(const boost::system::error_code& error) {
  try {
    database_.fail("read the connection log", error);
  } catch (const CommandError& told) {
    if (store_errc(error) == tracker::Errc::store_refuses) throw;
    if (!std::exchange(away_, true))
      std::cerr << "tallyd: " << printable(told.what()) << "; it is tried again" << std::endl;
  }
  return false;
}

}  // namespace tally::daemon::cli
