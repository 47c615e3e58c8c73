#pragma once
#include <boost/json/object.hpp>
#include <functional>
#include <iosfwd>

namespace tally::daemon::cli {

/// Calls `answer` for each case and writes what it returns behind the case's name, a JSON line each. What it throws as
/// `BadCase`, and lines that are no JSON, are answered with an `error`. The return value is 1 if there was any of
/// these, 0 otherwise.
int answer_cases(std::istream& in, std::ostream& out,
                 const std::function<boost::json::object(const boost::json::object&)>& answer);

/// As above for answers that are not JSON: `answer` writes them itself.
int write_cases(std::istream& in, std::ostream& out,
                const std::function<void(const boost::json::object&, std::ostream&)>& answer);

}  // namespace tally::daemon::cli
