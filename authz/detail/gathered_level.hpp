#pragma once
#include "authz/detail/subject_tables.hpp"
#include "authz/permission.hpp"

namespace tally::authz::detail {

/// One level while permissions are gathered into it.
class GatheredLevel {
 public:
  void add(const PermissionList& list);
  /// Lets `*` permissions hold for every type, and negatives win.
  Votes finish();
  OddVotes finish_odd();

 private:
  void add(Type type, Action action, bool negate);

  Votes votes_;
  OddVotes odd_;
};

}  // namespace tally::authz::detail
