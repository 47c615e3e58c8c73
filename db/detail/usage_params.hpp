#pragma once
#include "db/params.hpp"
#include "tracker/batch.hpp"

namespace tally::db::detail {

/// The usage events of a batch as `insert_usage_events_v1` takes them, behind its stream.
void add_usage(Params& params, const tracker::FlushBatch& batch);

}  // namespace tally::db::detail
