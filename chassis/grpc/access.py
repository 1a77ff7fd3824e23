"""Access rules: read from the method options of the protos, decided in one place."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chassis.errors import Kind, Refusal
from chassis.grpc.caller import Caller
from chassis.permissions import READ_SCOPES
from ratoon.access.v1 import access_pb2


@dataclass(frozen=True, slots=True)
class Rule:
    """One RPC's rule, in plain Python; fields as in ratoon.access.v1.AccessRule."""

    public: bool
    credentials: frozenset[str]
    organization_role: str
    permission: str
    key_permission: str
    account: bool
    system_admin: bool
    services: frozenset[str]
    or_system_admin: bool = False
    read_scope: str = ""


class CredentialMissing(Refusal):
    kind, reason = Kind.UNAUTHENTICATED, "CREDENTIAL_INVALID"


class OrganizationRequired(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_REQUIRED"


class OrganizationForbidden(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_FORBIDDEN"


class OwnerRequired(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "OWNER_REQUIRED"


class PermissionMissing(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "PERMISSION_MISSING"


class AccountKeyRequired(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ACCOUNT_KEY_REQUIRED"


class SystemAdminRequired(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "SYSTEM_ADMIN_REQUIRED"


class ServiceRefused(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "SERVICE_REFUSED"


_KINDS = {
    access_pb2.CREDENTIAL_KIND_API_KEY: "api_key",
    access_pb2.CREDENTIAL_KIND_OIDC: "oidc",
    access_pb2.CREDENTIAL_KIND_SERVICE: "service",
}
_ROLES = {
    access_pb2.ORGANIZATION_ROLE_UNSPECIFIED: "",
    access_pb2.ORGANIZATION_ROLE_MEMBER: "member",
    access_pb2.ORGANIZATION_ROLE_OWNER: "owner",
}


def rules(files: Iterable[Any]) -> dict[str, Rule]:
    """Return the rule of every RPC in the given `_pb2` modules that states one, by `/package.Service/Method`."""
    found = {}
    for file in files:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                options = method.GetOptions()
                if options.HasExtension(access_pb2.access):
                    rule = options.Extensions[access_pb2.access]
                    found[f"/{service.full_name}/{method.name}"] = _rule(rule)
    return found


def _rule(proto: access_pb2.AccessRule) -> Rule:
    return Rule(
        public=proto.public,
        credentials=frozenset(_KINDS[k] for k in proto.credentials),
        organization_role=_ROLES[proto.organization_role],
        permission=proto.permission,
        key_permission=proto.key_permission,
        account=proto.account,
        system_admin=proto.system_admin,
        services=frozenset(proto.services),
        or_system_admin=proto.or_system_admin,
        read_scope=proto.read_scope,
    )


def check(rule: Rule, caller: Caller | None) -> None:
    """Refuse a caller that the rule does not let in. None: no credential was sent."""
    if rule.public:
        return
    if caller is None:
        raise CredentialMissing("a valid credential is required")
    if caller.credential == "service" and rule.services:
        if caller.service not in rule.services:
            raise ServiceRefused("this machine may not do this", service=caller.service)
        return
    if caller.credential == "service":
        raise OrganizationRequired("a machine of the system acts in no organization")
    if caller.credential not in rule.credentials:
        raise CredentialMissing("a credential of another kind is required")
    if rule.or_system_admin and caller.system_admin:
        return
    if rule.system_admin and not caller.system_admin:
        raise SystemAdminRequired("only an administrator of the installation may do this")
    if rule.account and caller.credential == "api_key" and not caller.account_key:
        raise AccountKeyRequired("a key that belongs to one organization may not do this")
    if rule.organization_role:
        _check_organization(rule, caller)
    if rule.read_scope and caller.credential == "api_key":
        _check_read_scope(rule.read_scope, caller)


def _check_organization(rule: Rule, caller: Caller) -> None:
    if not caller.organization_id:
        raise OrganizationRequired("name an organization by path or header")
    if rule.organization_role == "owner" and caller.organization_role != "owner":
        raise OwnerRequired("only an owner of the organization may do this")
    needed = [rule.permission] if rule.permission else []
    if rule.key_permission and caller.credential == "api_key":
        needed.append(rule.key_permission)
    for permission in needed:
        if permission not in caller.permissions:
            raise PermissionMissing(f"{permission} is required", permission=permission)


def _check_read_scope(scope: str, caller: Caller) -> None:
    """Hold a key that lists read scopes to them; one that lists none reads all, as published."""
    if scope not in caller.permissions and not caller.permissions.isdisjoint(READ_SCOPES):
        raise PermissionMissing(f"{scope} is required", permission=scope)


def check_scope(rule: Rule, caller: Caller, organization_id: str) -> None:
    """Refuse a request that names another organization than the one its caller was established for."""
    if rule.or_system_admin and caller.system_admin:
        return
    if rule.organization_role and organization_id != caller.organization_id:
        raise OrganizationForbidden("the caller does not act in this organization")
