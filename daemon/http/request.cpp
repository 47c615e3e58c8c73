#include "daemon/http/request.hpp"

#include <boost/beast/core/string.hpp>

namespace tally::http {

std::optional<std::string_view> Request::header(std::string_view name) const noexcept {
  for (const Field& field : fields) {
    if (boost::beast::iequals(field.name, name)) return field.value;
  }
  return std::nullopt;
}

}  // namespace tally::http
