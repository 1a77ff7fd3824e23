"""Orgs, as auth sees it."""

from typing import Any

import grpc

from chassis.grpc.caller import Identity
from chassis.grpc.status import error_info
from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import member_service_pb2, organization_service_pb2, region_service_pb2
from ratoon.orgs.v1.member_service_pb2_grpc import MemberServiceStub
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceStub
from ratoon.orgs.v1.region_service_pb2_grpc import RegionServiceStub
from services.auth.domain.access import Membership, OrganizationsUnavailable, RateLimits
from services.auth.domain.machines import REGION_PROXY, REGION_SSH_GATEWAY
from services.auth.domain.people import Person

SERVICES = (member_service_pb2, organization_service_pb2, region_service_pb2)
# The registry of a region has a secret too, but calls nobody.
_MACHINES = {
    region_service_pb2.REGION_CREDENTIAL_KIND_PROXY: REGION_PROXY,
    region_service_pb2.REGION_CREDENTIAL_KIND_SSH_GATEWAY: REGION_SSH_GATEWAY,
}
# Strangers ask for this: it may not keep them waiting as long as a member would wait.
_REGION_SECONDS = 2.0


class Organizations:
    """Asks orgs; whatever keeps it from answering is UNAVAILABLE, never a refusal of the caller."""

    def __init__(self, channel: grpc.aio.Channel, identity: Identity) -> None:
        self._members = MemberServiceStub(channel)
        self._organizations = OrganizationServiceStub(channel)
        self._regions = RegionServiceStub(channel)
        self._identity = identity

    async def membership(self, user_id: str, organization_id: str) -> Membership | None:
        """Return what the user is there, or in the personal organization if none is named; None: nothing."""
        request = member_service_pb2.ResolveMembershipRequest(
            user_id=user_id, organization_id=organization_id
        )
        try:
            answer = await self._members.ResolveMembership(
                request, metadata=self._identity.metadata()
            )
        except grpc.aio.AioRpcError as refused:
            if error_info(refused).reason == "NOT_A_MEMBER":
                return None
            raise _away(refused) from refused
        return _membership(answer)

    async def region_machine(self, digest: bytes) -> str | None:
        """Return the name of the region's machine with the secret of that digest; None: there is none."""
        request = region_service_pb2.ResolveRegionCredentialRequest(digest=digest)
        try:
            answer = await self._regions.ResolveRegionCredential(
                request, metadata=self._identity.metadata(), timeout=_REGION_SECONDS
            )
        except grpc.aio.AioRpcError as refused:
            if error_info(refused).reason == "REGION_CREDENTIAL_UNKNOWN":
                return None
            raise _away(refused) from refused
        return _MACHINES.get(answer.kind)

    async def ensure_personal(self, person: Person, region_id: str = "") -> str:
        """See to it that the person has a personal organization and orgs knows whether the address is verified.

        Return its id; if it is made, it begins with the region.
        """
        request = organization_service_pb2.EnsurePersonalOrganizationRequest(
            user_id=person.id,
            name=person.name,
            email=person.email,
            email_verified=person.email_verified,
            default_region_id=region_id,
        )
        try:
            answer = await self._organizations.EnsurePersonalOrganization(
                request, metadata=self._identity.metadata()
            )
        except grpc.aio.AioRpcError as refused:
            raise _away(refused) from refused
        return str(answer.organization_id)


def _membership(answer: Any) -> Membership:
    owner = answer.role == access_pb2.ORGANIZATION_ROLE_OWNER
    limits = _limits(answer.rate_limits) if answer.HasField("rate_limits") else None
    permissions, account = frozenset(answer.permissions), answer.service_account
    return Membership(answer.organization_id, owner, permissions, limits, account)


def _limits(own: member_service_pb2.RateLimits) -> RateLimits:
    def set_(name: str) -> int | None:
        return getattr(own, name) if own.HasField(name) else None  # type: ignore[arg-type]  # only names of its fields

    return RateLimits(
        authenticated_limit=set_("authenticated_rate_limit"),
        authenticated_seconds=set_("authenticated_rate_limit_ttl_seconds"),
        sandbox_create_limit=set_("sandbox_create_rate_limit"),
        sandbox_create_seconds=set_("sandbox_create_rate_limit_ttl_seconds"),
        sandbox_lifecycle_limit=set_("sandbox_lifecycle_rate_limit"),
        sandbox_lifecycle_seconds=set_("sandbox_lifecycle_rate_limit_ttl_seconds"),
    )


def _away(error: grpc.aio.AioRpcError) -> OrganizationsUnavailable:
    return OrganizationsUnavailable(f"organizations cannot be asked now ({error.code().name})")
