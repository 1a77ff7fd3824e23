"""Orgs, as auth sees it."""

from typing import Any

import grpc

from chassis.grpc.caller import Identity
from chassis.grpc.status import error_info
from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import member_service_pb2, organization_service_pb2
from ratoon.orgs.v1.member_service_pb2_grpc import MemberServiceStub
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceStub
from services.auth.domain.access import Membership, OrganizationsUnavailable, RateLimits
from services.auth.domain.people import Person

SERVICES = (member_service_pb2, organization_service_pb2)


class Organizations:
    """Asks orgs; whatever keeps it from answering is UNAVAILABLE, never a refusal of the caller."""

    def __init__(self, channel: grpc.aio.Channel, identity: Identity) -> None:
        self._members = MemberServiceStub(channel)
        self._organizations = OrganizationServiceStub(channel)
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

    async def ensure_personal(self, person: Person) -> None:
        """See to it that the person has a personal organization and orgs knows whether the address is verified."""
        request = organization_service_pb2.EnsurePersonalOrganizationRequest(
            user_id=person.id,
            name=person.name,
            email=person.email,
            email_verified=person.email_verified,
        )
        try:
            await self._organizations.EnsurePersonalOrganization(
                request, metadata=self._identity.metadata()
            )
        except grpc.aio.AioRpcError as refused:
            raise _away(refused) from refused


def _membership(answer: Any) -> Membership:
    owner = answer.role == access_pb2.ORGANIZATION_ROLE_OWNER
    limits = _limits(answer.rate_limits) if answer.HasField("rate_limits") else None
    return Membership(answer.organization_id, owner, frozenset(answer.permissions), limits)


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
