#include "daemon/observers.hpp"

namespace tally::daemon {

bool JournalObserver::failed_lately() const {
  constexpr auto kFor = std::chrono::nanoseconds(std::chrono::seconds(5));
  return clock_.steady().time_since_epoch().count() - failed_at_ns_.load() < kFor.count();
}

void JournalObserver::group_written(std::size_t records, std::size_t bytes, std::chrono::nanoseconds sync) {
  metrics_.synced(records, bytes, sync);
  failed_at_ns_.store(kLongAgo, std::memory_order_relaxed);
  beats_.fetch_add(1, std::memory_order_relaxed);
}

void JournalObserver::refused(std::size_t, boost::system::error_code why) {
  if (why == tracker::Errc::journal_full) metrics_.failed(metrics::JournalFailure::full);
}

void JournalObserver::stream_opened(const tracker::StreamId& stream) {
  full_ = false;
  log::info("journal stream opened", {{"stream", stream.uuid.to_string()}});
}

void JournalObserver::stream_sealed(const tracker::StreamId& stream, tracker::Lsn last, boost::system::error_code why) {
  if (!why) {
    log::info("the journal's stream ends here and a new one is opened",
              {{"stream", stream.uuid.to_string()}, {"last_lsn", last}});
    return;
  }
  failed_at_ns_ = clock_.steady().time_since_epoch().count();
  metrics_.failed(metrics::JournalFailure::write);
  log::error("the journal's disk failed; the stream ends here and a new one is opened",
             {{"stream", stream.uuid.to_string()}, {"last_lsn", last}, {"error", why.message()}});
}

void JournalObserver::open_failed(boost::system::error_code why, std::chrono::milliseconds retry_after) {
  metrics_.failed(metrics::JournalFailure::write);
  if (auto held = open_throttle_.admit(clock_.steady()))
    log::error("no journal stream can be opened: events are answered 503",
               {{"error", why.message()}, {"retry_ms", retry_after}, {"held_back", *held}});
}

void JournalObserver::quota(std::uint64_t used, std::uint64_t max, bool full) {
  used_ = used;
  full_ = full;
  metrics_.set_bytes(used);
  if (!full) return;
  if (auto held = full_throttle_.admit(clock_.steady()))
    log::error("the journal is at its size limit: events are answered 503 until the database has taken more",
               {{"bytes", used}, {"limit", max}, {"held_back", *held}});
}

void JournalObserver::recovered(const tracker::StreamId& stream, std::uint64_t records) {
  metrics_.recovered(records);
  if (records > 0)
    log::info("found records of an earlier process", {{"stream", stream.uuid.to_string()}, {"records", records}});
}

void JournalObserver::corrupt(const tracker::StreamId& stream, const std::string& file, std::uint64_t offset,
                              tracker::Lsn after) {
  metrics_.failed(metrics::JournalFailure::corrupt);
  log::error("a journal record is damaged; what precedes it is counted and the file is kept",
             {{"stream", stream.uuid.to_string()}, {"file", file}, {"offset", offset}, {"last_good_lsn", after}});
}

void DbObserver::statement_ended(const db::StatementEnd& end) noexcept {
  if (!end.error) return;
  using metrics::DbErrorClass;
  DbErrorClass error = DbErrorClass::other;
  switch (*end.error) {
    case tracker::Errc::store_unavailable:
    case tracker::Errc::outcome_unknown:
      error = DbErrorClass::connection;
      break;
    case tracker::Errc::serialization:
      error = DbErrorClass::serialization;
      break;
    case tracker::Errc::data_refused:
      error = DbErrorClass::data;
      break;
    case tracker::Errc::store_refuses:
      error = DbErrorClass::refused;
      break;
    default:
      break;
  }
  metrics_.error(error);
  if (auto held = statement_throttle_.admit(clock_.steady()))
    log::warn("a database statement failed", {{"statement", end.query},
                                              {"error", make_error_code(*end.error).message()},
                                              {"sqlstate", end.sqlstate},
                                              {"server_says", end.message},
                                              {"held_back", *held}});
}

void DbObserver::connections_changed(const db::ConnectionCounts& counts) noexcept {
  metrics_.set_connections(metrics::DbConnectionState::connecting, counts.connecting);
  metrics_.set_connections(metrics::DbConnectionState::idle, counts.idle);
  metrics_.set_connections(metrics::DbConnectionState::busy, counts.busy);
}

void DbObserver::connect_failed(tracker::Errc, std::string_view message) noexcept {
  metrics_.error(metrics::DbErrorClass::connection);
  up_ = false;
  if (auto held = connect_throttle_.admit(clock_.steady()))
    log::warn("the database cannot be reached; events are kept in the journal",
              {{"error", message}, {"held_back", *held}});
}

void DbObserver::connected() noexcept {
  if (!up_) log::info("connected to the database");
  up_ = true;
}

}  // namespace tally::daemon
