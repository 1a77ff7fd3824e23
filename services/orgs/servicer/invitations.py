"""InvitationService over gRPC."""

from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from chassis.grpc.wire import from_timestamp
from chassis.pages import PageTokenInvalid, position_of
from ratoon.orgs.v1 import invitation_pb2
from ratoon.orgs.v1 import invitation_service_pb2 as pb
from ratoon.orgs.v1.invitation_service_pb2_grpc import InvitationServiceServicer
from services.orgs.commands import acceptance, invitations
from services.orgs.convert.invitations import invitations_to_proto, with_links
from services.orgs.convert.invitations import position_of as place_of
from services.orgs.convert.members import member_role_from_proto
from services.orgs.domain import EmailNotVerified, uuid_of
from services.orgs.domain.invitations import Delivery, Offer, folded
from services.orgs.queries import invitations as queries
from services.orgs.queries.pages import moment
from services.orgs.servicer.once import once
from services.orgs.servicer.pages import cut

Context = ServicerContext[Any, Any]


class InvitationServicer(InvitationServiceServicer):
    def __init__(
        self, database: Database, delivery: Delivery, *, verified_email_required: bool
    ) -> None:
        self._sessions = database.sessions
        self._pool = database.pool
        self._delivery = delivery
        self._verified_email_required = verified_email_required

    async def CreateInvitation(
        self, request: pb.CreateInvitationRequest, context: Context
    ) -> pb.CreateInvitationResponse:
        caller, id_ = current_caller.get(), uuid_of(request.organization_id)

        async def create(session: AsyncSession) -> pb.CreateInvitationResponse:
            made = await invitations.create(
                session,
                id_,
                caller.user_id,
                invited_by=caller.email,
                email=request.email,
                offer=_offer(request),
                by_mail=self._delivery.by_mail,
            )
            return pb.CreateInvitationResponse(invitation=await self._shown(session, made))

        scope = f"CreateInvitation {caller.user_id} {id_}"
        async with self._sessions.begin() as session:
            return await once(session, scope, request, pb.CreateInvitationResponse, create)

    async def ListInvitations(
        self, request: pb.ListInvitationsRequest, context: Context
    ) -> pb.ListInvitationsResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        after = _after(request.page_token)
        rows = await queries.page(self._pool, id_, me, after, request.page_size)
        page, next_ = cut(invitations_to_proto(rows), request.page_size, place_of)
        shown = with_links(page, self._delivery)
        return pb.ListInvitationsResponse(invitations=shown, next_page_token=next_)

    async def UpdateInvitation(
        self, request: pb.UpdateInvitationRequest, context: Context
    ) -> pb.UpdateInvitationResponse:
        async with self._sessions.begin() as session:
            changed = await invitations.change(
                session,
                uuid_of(request.organization_id),
                current_caller.get().user_id,
                uuid_of(request.invitation_id),
                _offer(request),
                request,
            )
            shown = await self._shown(session, changed)
        return pb.UpdateInvitationResponse(invitation=shown)

    async def CancelInvitation(
        self, request: pb.CancelInvitationRequest, context: Context
    ) -> pb.CancelInvitationResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await invitations.cancel(session, id_, me, uuid_of(request.invitation_id), request)
        return pb.CancelInvitationResponse()

    async def ResendInvitation(
        self, request: pb.ResendInvitationRequest, context: Context
    ) -> pb.ResendInvitationResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            sent = await invitations.resend(
                session, id_, me, uuid_of(request.invitation_id), by_mail=self._delivery.by_mail
            )
            shown = await self._shown(session, sent)
        return pb.ResendInvitationResponse(invitation=shown)

    async def ListOwnInvitations(
        self, request: pb.ListOwnInvitationsRequest, context: Context
    ) -> pb.ListOwnInvitationsResponse:
        email = folded(current_caller.get().email)
        rows = await queries.of_address(self._pool, email) if email else []
        return pb.ListOwnInvitationsResponse(invitations=invitations_to_proto(rows))

    async def CountOwnInvitations(
        self, request: pb.CountOwnInvitationsRequest, context: Context
    ) -> pb.CountOwnInvitationsResponse:
        email = folded(current_caller.get().email)
        count = await queries.count_of_address(self._pool, email) if email else 0
        return pb.CountOwnInvitationsResponse(count=count)

    async def AcceptInvitation(
        self, request: pb.AcceptInvitationRequest, context: Context
    ) -> pb.AcceptInvitationResponse:
        caller, id_ = current_caller.get(), uuid_of(request.invitation_id)
        if self._verified_email_required and not caller.email_verified:
            raise EmailNotVerified("verify your e-mail address first")
        email = folded(caller.email)
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await acceptance.accept(connection, id_, email, caller.user_id)
        return pb.AcceptInvitationResponse(invitation=invitations_to_proto(rows)[0])

    async def DeclineInvitation(
        self, request: pb.DeclineInvitationRequest, context: Context
    ) -> pb.DeclineInvitationResponse:
        email = folded(current_caller.get().email)
        async with self._sessions.begin() as session:
            await invitations.decline(session, uuid_of(request.invitation_id), email)
        return pb.DeclineInvitationResponse()

    async def _shown(self, session: AsyncSession, id_: UUID) -> invitation_pb2.Invitation:
        """Return an invitation as a change has left it, as those see it who may invite."""
        found = invitations_to_proto(await queries.rows_of(session, id_))
        return with_links(found, self._delivery)[0]


def _offer(request: pb.CreateInvitationRequest | pb.UpdateInvitationRequest) -> Offer:
    until = from_timestamp(request.expire_time) if request.HasField("expire_time") else None
    return Offer(member_role_from_proto(request.role), request.role_ids, until)


def _after(token: str) -> tuple[Any, Any]:
    position = position_of(token, int, str)
    if position is None:
        return None, None
    id_ = uuid_of(position[1])
    if id_ is None:
        raise PageTokenInvalid
    return moment(position[0]), id_
