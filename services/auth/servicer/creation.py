"""Keys made: for the caller, or by an owner for a service account; once, or so that the answer can be repeated."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import secrets
from chassis.db import Database
from chassis.errors import Refusal
from chassis.grpc.caller import Caller, Verifier
from chassis.secrets import Repeatable
from ratoon.auth.v1 import api_key_service_pb2 as pb
from services.auth.commands import api_keys, people, revocation
from services.auth.convert import expiry_from_proto, giver_of
from services.auth.domain.api_keys import (
    ApiKey,
    Draft,
    NotKeyHolder,
    ServiceAccountNotFound,
    fit_expiry,
    fit_name,
)
from services.auth.domain.grants import fit_permissions
from services.auth.peers import Organizations

_Made = tuple[ApiKey, str]


class Creation:
    """Makes a key and looks, when it is there, whether its ground held meanwhile."""

    def __init__(
        self,
        database: Database,
        verifier: Verifier,
        repeatable: Repeatable,
        organizations: Organizations,
    ) -> None:
        self._database = database
        self._verifier = verifier
        self._repeatable = repeatable
        self._organizations = organizations

    async def make(self, request: pb.CreateApiKeyRequest, caller: Caller, token: str) -> _Made:
        """Return the key and its secret."""
        holder = request.user_id or caller.user_id
        account = holder if holder != caller.user_id else ""
        if account:
            if caller.organization_role != "owner":
                raise NotKeyHolder("only an owner may make keys for service accounts")
            await self.check_account(request.organization_id, account)
        key, secret = await self._make(request, caller, account)
        await self._keep(key, token, account)
        return key, secret

    async def check_account(self, organization_id: str, account: str) -> None:
        """Refuse what is no service account of the organization."""
        membership = await self._organizations.membership(account, organization_id)
        if membership is None or not membership.service_account:
            raise ServiceAccountNotFound("there is no such service account")

    async def _make(self, request: pb.CreateApiKeyRequest, caller: Caller, account: str) -> _Made:
        if not request.request_id and not account:
            return await api_keys.create(self._database.pool, _draft(request, caller))
        async with self._database.sessions.begin() as session:
            if request.request_id:
                return await self._once(session, request, caller, account)
            await people.add_account(session, account)
            secret = secrets.fresh()
            return await api_keys.add(session, _draft(request, caller), secret), secret

    async def _once(
        self, session: AsyncSession, request: pb.CreateApiKeyRequest, caller: Caller, account: str
    ) -> _Made:
        scope = f"CreateApiKey\n{caller.user_id}\n{request.organization_id}"
        same = request.SerializeToString(deterministic=True)
        which = (scope, request.request_id, same)
        before = await api_keys.repeated(session, self._repeatable, *which)
        if before is not None:
            return before
        if account:
            await people.add_account(session, account)
        draft = _draft(request, caller)
        return await api_keys.create_repeatable(session, self._repeatable, draft, *which)

    async def _keep(self, key: ApiKey, token: str, account: str) -> None:
        """Take the key back if maker or account lost the membership while it was made: nobody else would delete it.

        Whatever ends from here on is told by an event, whose effect finds the key.
        """
        try:
            self._verifier.verify(token)
            if account:
                await self.check_account(key.organization_id or "", account)
        except Refusal:
            async with self._database.sessions.begin() as session:
                await revocation.delete_by_id(session, key.id)
            raise


def _draft(request: pb.CreateApiKeyRequest, caller: Caller) -> Draft:
    expires_at = None
    if request.HasField("expire_time"):
        expires_at = fit_expiry(expiry_from_proto(request.expire_time), datetime.now(UTC))
    return Draft(
        organization_id=request.organization_id,
        user_id=request.user_id or caller.user_id,
        name=fit_name(request.name),
        permissions=fit_permissions(request.permissions, giver_of(caller)),
        expires_at=expires_at,
    )
