#include "db/detail/usage_params.hpp"

#include "db/usage_events.hpp"

namespace tally::db::detail {

void add_usage(Params& params, const tracker::FlushBatch& batch) {
  std::vector<std::string> ids, types, data;
  std::vector<std::optional<std::int64_t>> created;
  std::vector<std::int32_t> statuses;
  for (const tracker::UsageEvent& event : batch.usage) {
    ids.push_back(event.id);
    types.push_back(event.type);
    data.push_back(event.data);
    created.push_back(event.created_us);
    statuses.push_back(static_cast<std::int32_t>(event.known ? UsageStatus::pending : UsageStatus::held));
  }
  params.int8(static_cast<std::int64_t>(batch.usage_events));
  params.texts(ids).texts(types).texts(data).timestamptzs(created).int4s(statuses);
}

}  // namespace tally::db::detail
