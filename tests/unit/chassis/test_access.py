"""Who may call what: every rule of the contract against every kind of caller."""

import msgspec
import pytest

from chassis.errors import Refusal
from chassis.grpc.access import Rule, check, check_scope, rules
from chassis.grpc.caller import Caller
from ratoon.auth.v1 import (
    api_key_service_pb2,
    authentication_service_pb2,
    user_service_pb2,
)
from ratoon.orgs.v1 import organization_service_pb2

PEOPLE = frozenset({"api_key", "oidc"})
MEMBER = Caller(credential="oidc", user_id="u", organization_id="o", organization_role="member")
OWNER = Caller(credential="oidc", user_id="u", organization_id="o", organization_role="owner")
NOWHERE = Caller(credential="oidc", user_id="u")
KEY = Caller(
    credential="api_key",
    user_id="u",
    organization_id="o",
    organization_role="owner",
    api_key_id="k",
    permissions=frozenset({"write:snapshots"}),
)
ACCOUNT_KEY = Caller(credential="api_key", user_id="u", api_key_id="k", account_key=True)
ADMIN = Caller(credential="oidc", user_id="u", system_admin=True)
GATEWAY = Caller(credential="service", service="gateway")
READER = msgspec.structs.replace(KEY, permissions=frozenset({"read:roles", "write:snapshots"}))
NARROW = msgspec.structs.replace(KEY, permissions=frozenset({"read:snapshots"}))


def rule(
    *,
    public: bool = False,
    credentials: frozenset[str] = PEOPLE,
    role: str = "",
    permission: str = "",
    key_permission: str = "",
    account: bool = False,
    system_admin: bool = False,
    services: frozenset[str] = frozenset(),
    or_system_admin: bool = False,
    read_scope: str = "",
) -> Rule:
    return Rule(
        *(public, credentials, role, permission, key_permission, account, system_admin, services),
        or_system_admin=or_system_admin,
        read_scope=read_scope,
    )


ANY = rule()
READS = rule(role="member")
OWNS = rule(role="owner", permission="manage:organization")
KEYS = rule(role="member", key_permission="manage:api_keys")
WRITES = rule(role="member", permission="write:snapshots")
ACCOUNT = rule(account=True)
ADMINS = rule(system_admin=True)
OWNS_OR_ADMINS = rule(role="owner", permission="manage:organization", or_system_admin=True)
SCOPED = rule(role="member", read_scope="read:roles")
GATEWAYS = rule(credentials=frozenset({"service"}), services=frozenset({"gateway"}))


@pytest.mark.parametrize(
    ("which", "caller", "reason"),
    [
        (rule(public=True), None, ""),
        (rule(public=True), GATEWAY, ""),
        (ANY, None, "CREDENTIAL_INVALID"),
        (ANY, NOWHERE, ""),
        (ANY, ACCOUNT_KEY, ""),
        (ANY, GATEWAY, "ORGANIZATION_REQUIRED"),
        (rule(credentials=frozenset({"oidc"})), KEY, "CREDENTIAL_INVALID"),
        (READS, NOWHERE, "ORGANIZATION_REQUIRED"),
        (READS, MEMBER, ""),
        (READS, KEY, ""),
        (OWNS, MEMBER, "OWNER_REQUIRED"),
        (OWNS, KEY, "PERMISSION_MISSING"),
        (OWNS, OWNER, "PERMISSION_MISSING"),
        (KEYS, MEMBER, ""),
        (KEYS, KEY, "PERMISSION_MISSING"),
        (WRITES, KEY, ""),
        (WRITES, MEMBER, "PERMISSION_MISSING"),
        (ACCOUNT, NOWHERE, ""),
        (ACCOUNT, KEY, "ACCOUNT_KEY_REQUIRED"),
        (ACCOUNT, ACCOUNT_KEY, ""),
        (ADMINS, OWNER, "SYSTEM_ADMIN_REQUIRED"),
        (ADMINS, ADMIN, ""),
        (OWNS_OR_ADMINS, ADMIN, ""),
        (OWNS_OR_ADMINS, NOWHERE, "ORGANIZATION_REQUIRED"),
        (OWNS_OR_ADMINS, MEMBER, "OWNER_REQUIRED"),
        (OWNS_OR_ADMINS, GATEWAY, "ORGANIZATION_REQUIRED"),
        (SCOPED, MEMBER, ""),
        (SCOPED, KEY, ""),
        (SCOPED, READER, ""),
        (SCOPED, NARROW, "PERMISSION_MISSING"),
        (READS, NARROW, ""),
        (GATEWAYS, GATEWAY, ""),
        (GATEWAYS, Caller(credential="service", service="orgs"), "SERVICE_REFUSED"),
        (GATEWAYS, OWNER, "CREDENTIAL_INVALID"),
        (GATEWAYS, ADMIN, "CREDENTIAL_INVALID"),
    ],
)
def test_a_rule_lets_in_whom_it_names(which: Rule, caller: Caller | None, reason: str) -> None:
    if not reason:
        check(which, caller)
        return
    with pytest.raises(Refusal) as refused:
        check(which, caller)
    assert refused.value.reason == reason


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Refusal) as refused:
        check(KEYS, KEY)
    assert refused.value.metadata == {"permission": "manage:api_keys"}


def test_a_caller_acts_where_it_was_established() -> None:
    check_scope(READS, MEMBER, "o")
    check_scope(ANY, MEMBER, "other")
    check_scope(OWNS_OR_ADMINS, ADMIN, "other")
    with pytest.raises(Refusal) as refused:
        check_scope(READS, MEMBER, "other")
    assert refused.value.reason == "ORGANIZATION_FORBIDDEN"


def test_rules_are_read_from_the_contract() -> None:
    modules = (api_key_service_pb2, authentication_service_pb2, user_service_pb2)
    found = rules((*modules, organization_service_pb2))
    assert found["/ratoon.auth.v1.AuthenticationService/Authenticate"] == GATEWAYS
    assert found["/ratoon.auth.v1.ApiKeyService/CreateApiKey"] == KEYS
    assert found["/ratoon.auth.v1.UserService/GetCurrentUser"] == ACCOUNT
    assert found["/ratoon.orgs.v1.OrganizationService/DeleteOrganization"] == OWNS
    stated = sum(
        len(s.methods)
        for m in (*modules, organization_service_pb2)
        for s in m.DESCRIPTOR.services_by_name.values()
    )
    assert len(found) == stated
