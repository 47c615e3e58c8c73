#include <fmt/format.h>

#include "daemon/api/context.hpp"
#include "daemon/api/openapi.hpp"
#include "daemon/version.hpp"

namespace tally::daemon::api {

using http::Response;
using http::Status;

void get_healthz(Context&, http::Request&, http::Responder responder) {
  Response answer;
  answer.content_type = "text/plain; charset=utf-8";
  answer.fixed_body = "ok\n";
  responder.answer(std::move(answer));
}

Answer get_readyz(Context& context, http::Request&) {
  bool ready = true;
  std::string checks;
  for (const Check& check : context.checks()) {
    ready = ready && (check.ok || !check.needed);
    if (!checks.empty()) checks += ",\n";
    checks +=
        fmt::format(R"(  {{"name": "{}", "ok": {}, "needed": {}, "detail": )", check.name, check.ok, check.needed);
    http::append_json_string(checks, check.detail);
    checks += '}';
  }
  Response answer = http::json(ready ? Status::ok : Status::service_unavailable,
                               fmt::format("{{\"ready\": {}, \"checks\": [\n{}\n]}}\n", ready, checks));
  if (!ready) answer.add_header("Retry-After", "1");
  co_return answer;
}

Answer get_metrics(Context& context, http::Request& request) {
  const auto format = metrics::choose_format(request.header("Accept").value_or(""));
  Response answer;
  answer.content_type = metrics::content_type(format);
  answer.body = metrics::expose(context.registry.collect(), format);
  co_return answer;
}

void get_version(Context&, http::Request&, http::Responder responder) {
  responder.answer(http::json(Status::ok, fmt::format(R"({{"version":"{}","revision":"{}"}})", version(), revision())));
}

void get_openapi(Context&, http::Request&, http::Responder responder) {
  Response answer;
  answer.fixed_body = kOpenApi;
  responder.answer(std::move(answer));
}

}  // namespace tally::daemon::api
