"""Run by the environment of PyPI daytona-api-client 0.231.0: every operation about organizations, answers parsed.

Prints JSON: what came back by operation (the model's name, a status, or what went wrong), and what was never called.
"""

import json
import os
from datetime import UTC, datetime, timedelta

import daytona_api_client as api
from daytona_api_client.exceptions import ApiException

UNCOUNTED = ("_with_http_info", "_without_preload_content")
DEVELOPER = "00000000-0000-0000-0000-000000000001"
seen: dict[str, list[object]] = {}
known: set[str] = set()
facts: dict[str, object] = {}


class Recorded:
    """An API of the client whose every call is noted; a call that fails answers None, and the next goes on."""

    def __init__(self, of, key):
        configuration = api.Configuration(host=os.environ["URL"], access_token=key)
        self._api = of(api.ApiClient(configuration))
        known.update(
            n
            for n in dir(of)
            if not n.startswith("_") and not n.endswith(UNCOUNTED) and n != "api_client"
        )

    def __getattr__(self, name):
        call = getattr(self._api, name)

        def act(*args, **more):
            try:
                answer = call(*args, **more)
            except ApiException as refused:
                seen.setdefault(name, []).append(refused.status)
                return None
            except Exception as broken:  # noqa: BLE001 - whatever the client cannot read is what is looked for
                seen.setdefault(name, []).append(f"{type(broken).__name__}: {broken}"[:600])
                return None
            seen.setdefault(name, []).append(_shown(answer))
            return answer

        return act


def _shown(answer):
    if isinstance(answer, list):
        return sorted({type(item).__name__ for item in answer})
    return type(answer).__name__


OWNER, GUEST, COLLECTOR = os.environ["KEY"], os.environ["GUEST"], os.environ["COLLECTOR"]
owner, guest = Recorded(api.OrganizationsApi, OWNER), Recorded(api.OrganizationsApi, GUEST)
collector = Recorded(api.OrganizationsApi, COLLECTOR)
keys, users = Recorded(api.ApiKeysApi, OWNER), Recorded(api.UsersApi, OWNER)
audit, regions = Recorded(api.AuditApi, OWNER), Recorded(api.RegionsApi, OWNER)


def invite(organization):
    asked = api.CreateOrganizationInvitation(
        email=os.environ["EMAIL"], role="member", assigned_role_ids=[DEVELOPER]
    )
    made = owner.create_organization_invitation(organization, asked)
    return made.id if made else "00000000-0000-4000-8000-00000000dead"


# Organizations
made = owner.create_organization(api.CreateOrganization(name="0.231", default_region_id="us"))
org = made.id
facts["listed"] = org in [o.id for o in owner.list_organizations() or []]
facts["got"] = getattr(owner.get_organization(org), "id", "") == org
owner.set_organization_default_region(
    org, api.UpdateOrganizationDefaultRegion(default_region_id="us")
)
usage = owner.get_organization_usage_overview(org)
facts["usage"] = usage is not None and usage.current_snapshot_usage == 0
owner.update_organization_otel_config(
    org,
    api.OtelConfig(
        endpoint="http://collector:4317", headers={"api-key": "XXX"}, organization_id=org
    ),
)
told = collector.get_organization_otel_config(org)
facts["otel for the collector"] = told is not None and told.headers == {"api-key": "XXX"}
shown = getattr(owner.get_organization(org), "otel_config", None)
facts["otel for others"] = shown is not None and shown.headers != {"api-key": "XXX"}
owner.delete_organization_otel_config(org)
owner.update_experimental_config(org, {"a trial": True})
owner.list_available_sandbox_classes(org)

# Roles
asked = {"name": "Maintainer", "description": "d", "permissions": ["write:sandboxes"]}
role = owner.create_organization_role(org, api.CreateOrganizationRole(**asked))
facts["roles"] = len(owner.list_organization_roles(org) or [])
role_id = role.id if role else DEVELOPER
owner.update_organization_role(org, role_id, api.UpdateOrganizationRole(**asked))
owner.delete_organization_role(org, role_id)

# Invitations and members
later = datetime.now(UTC) + timedelta(days=30)
changed = api.UpdateOrganizationInvitation(
    role="member", assigned_role_ids=[DEVELOPER], expires_at=later
)
first = invite(org)
owner.update_organization_invitation(org, first, changed)
facts["pending"] = len(owner.list_organization_invitations(org) or [])
owner.cancel_organization_invitation(org, first)
second = invite(org)
facts["own"] = [
    i.organization_name for i in guest.list_organization_invitations_for_authenticated_user() or []
]
facts["count"] = guest.get_organization_invitations_count_for_authenticated_user()
guest.decline_organization_invitation(second)
accepted = guest.accept_organization_invitation(invite(org))
facts["accepted"] = accepted is not None and accepted.status == "accepted"
members = owner.list_organization_members(org) or []
facts["members"] = sorted(m.role for m in members)
member = next((m.user_id for m in members if m.role == "member"), "nobody")
access = api.UpdateOrganizationMemberAccess(role="member", assigned_role_ids=[DEVELOPER])
owner.update_access_for_organization_member(org, member, access)
owner.delete_organization_member(org, member)
guest.accept_organization_invitation(invite(org))
guest.leave_organization(org)

# Regions
within = {"x_daytona_organization_id": org}
urls = {
    "proxy_url": "https://p.example",
    "ssh_gateway_url": "ssh://s.example",
    "snapshot_manager_url": "https://m.example",
}
region = owner.create_region(api.CreateRegion(name="r-0231", **urls), **within)
facts["region secrets"] = region is not None and all(
    len(s) == 68
    for s in (region.proxy_api_key, region.ssh_gateway_api_key, region.snapshot_manager_password)
)
region_id = region.id if region else "none"
facts["region"] = getattr(owner.get_region_by_id(region_id, **within), "region_type", "")
facts["regions"] = sorted(r.region_type for r in owner.list_available_regions(**within) or [])
owner.update_region(region_id, api.UpdateRegion(proxy_url="https://q.example"), **within)
owner.regenerate_proxy_api_key(region_id, **within)
owner.regenerate_ssh_gateway_api_key(region_id, **within)
credentials = owner.regenerate_snapshot_manager_credentials(region_id, **within)
facts["registry"] = getattr(credentials, "username", "")
owner.delete_region(region_id, **within)
facts["shared"] = [r.id for r in regions.list_shared_regions() or []]

# Keys
key = keys.create_api_key(api.CreateApiKey(name="k", permissions=["write:snapshots"]), **within)
facts["key"] = len(key.value) if key else 0
facts["keys"] = [k.name for k in keys.list_api_keys(**within) or []]
keys.get_api_key("k", **within)
current = Recorded(api.ApiKeysApi, key.value if key else "").get_current_api_key()
facts["current"] = getattr(current, "name", "")
keys.delete_api_key("k", **within)
keys.create_api_key(api.CreateApiKey(name="k2", permissions=[]), **within)
me = users.get_authenticated_user()
facts["me"] = getattr(me, "id", "")
keys.delete_api_key_for_user(facts["me"], "k2", **within)

# The log
logs = audit.get_organization_audit_logs(org, limit=50)
facts["logged"] = sorted({line.action for line in logs.items}) if logs else []
facts["filtered"] = len(
    getattr(audit.get_organization_audit_logs(org, limit=1), "items", None) or []
)
audit.get_audit_scenarios()

owner.delete_organization(org)

# What is switched off, or of a product that this is not: a clean refusal.
off = owner.get_organization(org)
nothing = "00000000-0000-4000-8000-00000000dead"
users.get_account_providers()
users.link_account(api.CreateLinkedAccount(provider="github", user_id="1"))
users.list_pending_sso_links()
users.confirm_pending_sso_link(nothing)
users.dismiss_pending_sso_link(nothing)
users.accept_privacy_policies()
users.record_login()
collector.get_organization_otel_config_by_sandbox_auth_token("no-such-token")
collector.get_sandbox_identity_by_sandbox_auth_token("no-such-token")
personal = next(o.id for o in owner.list_organizations() if o.personal)
owner.get_gpu_capacity(personal)
owner.list_organization_identity_providers(personal)
owner.list_workos_sso_connections(personal)
owner.get_organization_identity_provider(personal, nothing)
owner.delete_organization_identity_provider(personal, nothing)

print(json.dumps({"seen": seen, "never": sorted(known - set(seen)), "facts": facts}))
