"""Run by the environment of PyPI daytona-api-client: every operation of today's surface, answers parsed. Prints JSON."""

import json
import os
import time

import daytona_api_client as api
from daytona_api_client.exceptions import ApiException

configuration = api.Configuration(host=os.environ["URL"], access_token=os.environ["KEY"])
client = api.ApiClient(configuration)
seen: dict[str, object] = {}

config = api.ConfigApi(client).config_controller_get_config()
seen["config"] = config.oidc.client_id is not None and config.maintanance_mode is False
seen["health"] = api.HealthApi(client).health_controller_live_with_http_info().status_code

organizations = api.OrganizationsApi(client)
personal = next(o for o in organizations.list_organizations() if o.personal)
made = organizations.create_organization(
    api.CreateOrganization(name="Ünternehmen & Söhne", default_region_id="us")
)
seen["organization"] = [made.name, made.personal, made.default_region_id]
seen["got"] = organizations.get_organization(made.id).id == made.id
organizations.set_organization_default_region(
    made.id, api.UpdateOrganizationDefaultRegion(default_region_id="us")
)
seen["members"] = [m.role for m in organizations.list_organization_members(made.id)]

role = organizations.create_organization_role(
    made.id,
    api.CreateOrganizationRole(name="R", description="", permissions=["write:snapshots"]),
)
changed = api.UpdateOrganizationRole(name="S", description="", permissions=["read:volumes"])
seen["role"] = organizations.update_organization_role(made.id, role.id, changed).permissions
seen["roles"] = [r.name for r in organizations.list_organization_roles(made.id)][-1]
invitation = organizations.create_organization_invitation(
    made.id,
    api.CreateOrganizationInvitation(
        email="guest@example.com", role="member", assigned_role_ids=[role.id]
    ),
)
offer = api.UpdateOrganizationInvitation(role="owner", assigned_role_ids=[])
seen["invitation"] = organizations.update_organization_invitation(
    made.id, invitation.id, offer
).role
seen["invitations"] = [i.status for i in organizations.list_organization_invitations(made.id)]
organizations.cancel_organization_invitation(made.id, invitation.id)
seen["own invitations"] = [
    organizations.get_organization_invitations_count_for_authenticated_user(),
    organizations.list_organization_invitations_for_authenticated_user(),
]
organizations.delete_organization_role(made.id, role.id)

users = api.UsersApi(client)
me = users.get_authenticated_user()
seen["me"] = me.id

regions = api.OrganizationsApi(client)
seen["regions"] = [r.id for r in regions.list_available_regions()]
seen["shared"] = [r.id for r in api.RegionsApi(client).list_shared_regions()]

keys = api.ApiKeysApi(client)
key = keys.create_api_key(
    api.CreateApiKey(name="from the client", permissions=["write:snapshots", "delete:snapshots"]),
    x_daytona_organization_id=made.id,
)
seen["key"] = [key.value[:4], len(key.value)]
listed = keys.list_api_keys(x_daytona_organization_id=made.id)
seen["keys"] = [k.name for k in listed]
seen["one key"] = keys.get_api_key("from the client", x_daytona_organization_id=made.id).value
theirs = api.ApiClient(api.Configuration(host=os.environ["URL"], access_token=key.value))
seen["current"] = api.ApiKeysApi(theirs).get_current_api_key().name

snapshots = api.SnapshotsApi(theirs)
snapshot = snapshots.create_snapshot(
    api.CreateSnapshot(name="api", image_name=os.environ["IMAGE"], memory=2)
)
seen["created"] = [snapshot.state, snapshot.mem, snapshot.region_ids, snapshot.source_sandbox_id]
deadline = time.monotonic() + 60
while snapshot.state != "active" and time.monotonic() < deadline:
    time.sleep(0.1)
    snapshot = snapshots.get_snapshot(snapshot.id)
seen["active"] = snapshot.state
snapshots.deactivate_snapshot(snapshot.id)
seen["inactive"] = snapshots.get_snapshot("api").state
seen["activated"] = snapshots.activate_snapshot(snapshot.id).state
page = snapshots.get_all_snapshots(page=1, limit=10, sort="name", order="asc")
seen["page"] = [page.total, page.page, page.total_pages, [s.name for s in page.items]]
try:
    snapshots.get_snapshot_build_logs_url(snapshot.id)
except ApiException as error:
    seen["no build"] = error.status
snapshots.remove_snapshot(snapshot.id)

keys.delete_api_key("from the client", x_daytona_organization_id=made.id)
deadline = time.monotonic() + 5
while "after deletion" not in seen and time.monotonic() < deadline:
    try:
        api.ApiKeysApi(theirs).get_current_api_key()
    except ApiException as error:
        seen["after deletion"] = error.status
organizations.delete_organization(made.id)
try:
    organizations.get_organization(made.id)
except ApiException as error:
    seen["deleted organization"] = error.status
print(json.dumps(seen))
