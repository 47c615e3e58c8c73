#pragma once
#include "db/params.hpp"
#include "tracker/batch.hpp"

namespace tally::db::detail {

/// The connections of a batch as `merge_connections_v1` takes them, but for the stream and the accepted effects.
void add_connections(Params& params, const tracker::FlushBatch& batch);

}  // namespace tally::db::detail
