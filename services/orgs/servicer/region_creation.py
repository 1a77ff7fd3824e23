"""CreateRegion, whose answer holds secrets: repeated to the same Idempotency-Key, although none of them is stored."""

from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.db import Sessions
from chassis.secrets import Repeatable, fresh
from ratoon.orgs.v1 import region_service_pb2 as pb
from services.orgs.commands import custom_regions
from services.orgs.convert.regions import region_to_proto, secrets_to_proto
from services.orgs.domain import uuid_of
from services.orgs.domain.regions import (
    ADDRESSES,
    Machine,
    RegionNameTaken,
    fit_addresses,
    fit_name,
)
from services.orgs.queries import regions as queries


class _Kept(msgspec.Struct):
    """What is kept of an answer that may have to be repeated: everything but the secrets."""

    answer: bytes
    machines: list[Machine]
    nonce: str
    signed_by: str


class RegionCreation:
    def __init__(self, sessions: Sessions, repeatable: Repeatable) -> None:
        self._sessions = sessions
        self._repeatable = repeatable

    async def create(
        self, request: pb.CreateRegionRequest, user_id: str
    ) -> pb.CreateRegionResponse:
        async with self._sessions.begin() as session:
            if request.request_id:
                return await self._create_once(session, request, user_id)
            answer, secrets = await _create(session, request, user_id, lambda _: fresh())
        answer.secrets.CopyFrom(secrets_to_proto(secrets))
        return answer

    async def _create_once(
        self, session: AsyncSession, request: pb.CreateRegionRequest, user_id: str
    ) -> pb.CreateRegionResponse:
        scope, key = f"CreateRegion\n{user_id}\n{request.organization_id}", request.request_id
        body = request.SerializeToString(deterministic=True)
        before = await idempotency.replay(session, scope, key, body)
        if before is not None:
            return self._repeat(msgspec.json.decode(before, type=_Kept), scope, key)
        nonce = self._repeatable.nonce()
        answer, secrets = await _create(session, request, user_id, self._of(nonce, scope, key))
        kept = _Kept(answer.SerializeToString(), list(secrets), nonce, self._repeatable.key_id)
        await idempotency.record(session, scope, key, body, msgspec.json.encode(kept))
        answer.secrets.CopyFrom(secrets_to_proto(secrets))
        return answer

    def _repeat(self, kept: _Kept, scope: str, key: str) -> pb.CreateRegionResponse:
        if kept.machines and kept.signed_by != self._repeatable.key_id:
            raise RegionNameTaken("the region was made, but its secrets can be shown no more")
        answer = pb.CreateRegionResponse.FromString(kept.answer)
        secret_of = self._of(kept.nonce, scope, key)
        answer.secrets.CopyFrom(secrets_to_proto({m: secret_of(m) for m in kept.machines}))
        return answer

    def _of(self, nonce: str, scope: str, key: str) -> Callable[[Machine], str]:
        return lambda machine: self._repeatable.secret(nonce, f"{scope}\n{machine}", key)


async def _create(
    session: AsyncSession,
    request: pb.CreateRegionRequest,
    user_id: str,
    secret_of: Callable[[Machine], str],
) -> tuple[pb.CreateRegionResponse, dict[Machine, str]]:
    """Make the region; return the answer without the secrets, and those."""
    name = fit_name(request.name)
    addresses = fit_addresses({field: getattr(request, field) for field in ADDRESSES})
    organization_id = uuid_of(request.organization_id)
    id_, secrets = await custom_regions.create(
        session, organization_id, user_id, name, addresses, secret_of
    )
    made = region_to_proto(await queries.row_of(session, id_))
    return pb.CreateRegionResponse(region=made), secrets
