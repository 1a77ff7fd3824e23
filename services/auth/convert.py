"""Protobuf ↔ Python."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc.caller import Caller
from chassis.grpc.wire import from_timestamp, to_timestamp
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import api_key_pb2, authentication_pb2, authentication_service_pb2, user_pb2
from services.auth.domain.access import Membership, RateLimits, is_uuid
from services.auth.domain.api_keys import ApiKey, ExpiryPast
from services.auth.domain.grants import Giver
from services.auth.domain.people import Person
from services.auth.queries.revocations import Revoked

_CREDENTIALS = {
    "api_key": access_pb2.CREDENTIAL_KIND_API_KEY,
    "oidc": access_pb2.CREDENTIAL_KIND_OIDC,
    "service": access_pb2.CREDENTIAL_KIND_SERVICE,
}
_ROLES = {
    "": access_pb2.ORGANIZATION_ROLE_UNSPECIFIED,
    "member": access_pb2.ORGANIZATION_ROLE_MEMBER,
    "owner": access_pb2.ORGANIZATION_ROLE_OWNER,
}


def api_key_to_proto(key: ApiKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        id=key.id,
        create_time=to_timestamp(key.created_at),
        organization_id=key.organization_id or "",
        user_id=key.user_id,
        name=key.name,
        permissions=key.permissions,
        prefix=key.prefix,
        suffix=key.suffix,
        last_use_time=to_timestamp(key.last_used_at),
        expire_time=to_timestamp(key.expires_at),
        system_admin=key.system_admin,
        previous_expire_time=to_timestamp(key.previous_expires_at),
        revision=key.revision,
    )


def person_to_proto(person: Person) -> user_pb2.User:
    return user_pb2.User(
        id=person.id,
        create_time=to_timestamp(person.created_at),
        update_time=to_timestamp(person.updated_at),
        name=person.name,
        email=person.email,
        email_verified=person.email_verified,
        system_role=_system_role(person.system_admin),
        disable_time=to_timestamp(person.disabled_at),
        local=person.local,
        public_key=person.public_key or "",
    )


def caller_to_proto(caller: Caller) -> authentication_pb2.Caller:
    return authentication_pb2.Caller(
        credential=_CREDENTIALS[caller.credential],
        user_id=caller.user_id,
        email=caller.email,
        email_verified=caller.email_verified,
        organization_id=caller.organization_id,
        organization_role=_ROLES[caller.organization_role],
        permissions=sorted(caller.permissions),
        system_role=_system_role(caller.system_admin),
        api_key_prefix=caller.api_key_prefix,
        api_key_suffix=caller.api_key_suffix,
        api_key_id=caller.api_key_id,
        account_key=caller.account_key,
        service=caller.service,
    )


def rate_limits_to_proto(own: RateLimits) -> authentication_pb2.RateLimits:
    return authentication_pb2.RateLimits(**asdict(own))


def caller_of(
    person: Person,
    membership: Membership | None,
    permissions: frozenset[str],
    key: ApiKey | None = None,
    suffix: str = "",
) -> Caller:
    """Return the caller that a key, or without one the person's own token, establishes.

    `suffix` is that of the secret which was shown: while a rotated key has two, the log tells which one is in use.
    """
    return Caller(
        credential="api_key" if key else "oidc",
        user_id=person.id,
        email=person.email,
        email_verified=person.email_verified,
        organization_id=membership.organization_id if membership else "",
        organization_role=_role_of(membership),
        permissions=permissions,
        system_admin=person.system_admin and (key is None or key.system_admin),
        api_key_prefix=key.prefix if key else "",
        api_key_suffix=suffix,
        api_key_id=key.id if key else "",
        account_key=key is not None and key.organization_id is None,
    )


def giver_of(caller: Caller) -> Giver:
    key_id = caller.api_key_id if caller.credential == "api_key" else ""
    return Giver(caller.permissions, key_id)


def expiry_from_proto(stamp: Timestamp) -> datetime:
    """Return the moment; refused with API_KEY_EXPIRY_PAST when it is none that can be kept."""
    try:
        return from_timestamp(stamp)
    except (ValueError, OverflowError):
        raise ExpiryPast("the expiry is no moment that can be kept") from None


def uses_from_proto(
    uses: Iterable[authentication_service_pb2.ReportApiKeyUseRequest.Use],
) -> dict[UUID, datetime]:
    """Return the latest use of each key; what names no key or no moment is left out."""
    latest: dict[UUID, datetime] = {}
    for use in uses:
        moment = _moment(use.last_use_time)
        if moment is None or not is_uuid(use.api_key_id):
            continue
        id_ = UUID(use.api_key_id)
        latest[id_] = max(moment, latest.get(id_, moment))
    return latest


def revocation_to_proto(revoked: Revoked, at: float) -> authentication_pb2.Revocation:
    time = Timestamp()
    time.FromNanoseconds(int(at * 1e9))
    return authentication_pb2.Revocation(
        api_key_id=revoked.api_key_id,
        user_id=revoked.user_id,
        organization_id=revoked.organization_id,
        time=time,
        organization_deleted=revoked.organization_deleted,
    )


def unix(seconds: float) -> Timestamp:
    return to_timestamp(datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)) or Timestamp()


def _moment(stamp: Timestamp) -> datetime | None:
    try:
        return from_timestamp(stamp)
    except (ValueError, OverflowError):
        return None


def _role_of(membership: Membership | None) -> str:
    if membership is None:
        return ""
    return "owner" if membership.owner else "member"


def _system_role(admin: bool) -> access_pb2.SystemRole.ValueType:
    return access_pb2.SYSTEM_ROLE_ADMIN if admin else access_pb2.SYSTEM_ROLE_UNSPECIFIED
