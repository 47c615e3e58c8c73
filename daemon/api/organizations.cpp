#include "daemon/api/render.hpp"
#include "daemon/api/rights.hpp"
#include "daemon/log.hpp"

namespace tally::daemon::api {
namespace {

using authz::Action;
using authz::Type;
using http::Response;
using http::Status;
using tracker::Errc;

/// An organization is in itself, except before it is made.
struct OrganizationObject {
  explicit OrganizationObject(const tracker::Uuid& id) : text(id.to_string()) {}
  std::string text;
  authz::Object object() const { return {Type::organization, text, {}, text}; }
  authz::Object fresh() const { return {Type::organization, text}; }
};

boost::json::object as_json(const db::Organization& organization) {
  return {
      {"id", organization.id.to_string()}, {"name", organization.name}, {"display_name", organization.display_name}};
}

db::Organization read_organization(const tracker::Uuid& id, const JsonNode& body) {
  db::Organization organization;
  organization.id = id;
  organization.name = body.member("name").name(kLongestName);
  organization.display_name = body.member("display_name").text(kLongestName);
  return organization;
}

bool same(const db::Organization& a, const db::Organization& b) {
  return a.name == b.name && a.display_name == b.display_name;
}

void log_put(const http::Request& request, const db::Organization& organization, const Grant& granted,
             const db::Put& put) {
  log::audit(put.created ? "organization created" : "organization changed",
             {{"organization", organization.id.to_string()},
              {"name", organization.name},
              {"by", granted.by.actor},
              {"allowed_by", granted.allowed_by},
              {"detail", log::Json{put.detail}},
              {"request_id", request.id}});
}

}  // namespace

Answer get_organizations(Context& context, http::Request& request) {
  Listing list = read_listing(context, request, Type::organization, db::kOrganizationTable);
  if (list.refusal) co_return std::move(*list.refusal);
  auto listing = context.directory.list_organizations(std::move(list.page));
  const auto organizations = co_await std::move(listing);
  if (!organizations) co_return store_failure(organizations.error());
  co_return page_of("organizations", *organizations, list.limit, as_json,
                    [](const db::Organization& organization) { return organization.id.to_string(); });
}

Answer get_organization(Context& context, http::Request& request) {
  const auto id = path_uuid(request.captures[0]);
  if (!id) co_return not_found("organization");
  const OrganizationObject object(*id);
  if (!may(context, request, Action::read, object.object())) co_return forbidden();
  const auto organization = co_await context.directory.find_organization(*id);
  if (!organization) co_return store_failure(organization.error());
  if (!*organization) co_return not_found("organization");
  co_return put_answer(false, as_json(**organization));
}

Answer put_organization(Context& context, http::Request& request) {
  const auto id = path_uuid(request.captures[0]);
  if (!id) co_return not_found("organization");
  const OrganizationObject object(*id);
  const bool may_create = may(context, request, Action::create, object.fresh());
  const bool may_update = may(context, request, Action::update, object.object());
  if (!may_create && !may_update) co_return forbidden();
  JsonBody body(request.body);
  const db::Organization organization = read_organization(*id, body.root());
  if (auto refusal = body.refusal()) co_return std::move(*refusal);

  for (int i = 0; i < kTries; ++i) {
    const auto before = co_await context.directory.find_organization(*id);
    if (!before) co_return store_failure(before.error());
    const db::Organization* known = *before ? &**before : nullptr;
    if (known ? !may_update : !may_create) co_return forbidden();
    if (known && same(*known, organization)) co_return put_answer(false, as_json(organization));
    const Grant granted = known ? grant(context, request, Action::update, object.object())
                                : grant(context, request, Action::create, object.fresh());
    auto putting =
        context.directory.put_organization(organization, db::Seen::at(known ? known->version : 0), granted.by);
    const auto put = co_await std::move(putting);
    if (put) {
      log_put(request, organization, granted, *put);
      co_return put_answer(put->created, as_json(organization));
    }
    if (put.error() == Errc::conflict)
      co_return refused(Status::conflict, "the name belongs to another organization, or the id to a group", "/name");
    if (put.error() != Errc::serialization) co_return store_failure(put.error());
  }
  co_return busy();
}

Answer delete_organization(Context& context, http::Request& request) {
  const auto id = path_uuid(request.captures[0]);
  if (!id) co_return not_found("organization");
  const OrganizationObject object(*id);
  if (!may(context, request, Action::delete_, object.object())) co_return forbidden();
  const Grant granted = grant(context, request, Action::delete_, object.object());
  auto deleting = context.directory.delete_organization(*id, granted.by);
  const auto deleted = co_await std::move(deleting);
  if (!deleted && deleted.error() == Errc::not_found) co_return not_found("organization");
  if (!deleted) co_return store_failure(deleted.error());
  log::audit("organization deleted", {{"organization", object.text},
                                      {"by", granted.by.actor},
                                      {"allowed_by", granted.allowed_by},
                                      {"detail", log::Json{deleted->detail}},
                                      {"request_id", request.id}});
  co_await settle(context, deleted->version);
  co_return http::no_content();
}

}  // namespace tally::daemon::api
