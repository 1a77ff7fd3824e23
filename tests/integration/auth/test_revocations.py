"""Revocations reach every watcher, whatever else happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from chassis.errors import Refusal
from chassis.grpc.caller import Verifier
from ratoon.auth.v1 import api_key_service_pb2 as pb
from ratoon.auth.v1 import authentication_pb2, authentication_service_pb2
from services.auth.queries.revocations import Revoked
from services.auth.servicer import revocations as module
from services.auth.servicer.revocations import Revocations
from tests.fakes import (
    MembershipChanged,
    MembershipEnded,
    OrganizationChanged,
    OrganizationDeleted,
)
from tests.identities import Keyring
from tests.integration.auth.conftest import World, refusal

Named = tuple[str, str, str]


class Watcher:
    """A machine that follows revocations, as gateway and services do."""

    def __init__(self, world: World) -> None:
        self.verifier = Verifier(world.keyring.trust())
        self._stream = world.watch()
        self._heard: list[Named] = []

    async def stand(self) -> None:
        assert not (await self._stream.read()).revocations

    async def until(self, named: Named) -> None:
        """Follow until that was revoked."""
        async with asyncio.timeout(10):
            while not self.count(named):
                for r in (await self._stream.read()).revocations:
                    self.hear(r)

    def hear(self, r: authentication_pb2.Revocation) -> None:
        self._heard.append((r.api_key_id, r.user_id, r.organization_id))
        at = r.time.seconds + r.time.nanos / 1e9
        self.verifier.revoke(at, r.api_key_id, r.user_id, r.organization_id)

    def count(self, named: Named) -> int:
        return self._heard.count(named)

    def refuses(self, token: str) -> bool:
        try:
            self.verifier.verify(token)
        except Refusal:
            return True
        return False

    def leave(self) -> None:
        self._stream.cancel()


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[Watcher]:
    watcher = Watcher(world)
    await watcher.stand()
    yield watcher
    watcher.leave()


async def _delete(world: World, me: Any, organization_id: str, name: str) -> None:
    request = pb.DeleteApiKeyRequest(organization_id=organization_id, name=name)
    await world.keys.DeleteApiKey(request, metadata=me)


async def test_a_deleted_key_is_revoked_for_everybody(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    made, kept = [await world.create_key(me, personal) for _ in range(2)]
    token, other = [(await world.authenticate(k.secret)).token for k in (made, kept)]
    async with watching(world) as one, watching(world) as two:
        await _delete(world, me, personal, made.api_key.name)
        for watcher in (one, two):
            await watcher.until((made.api_key.id, "", ""))
            assert watcher.refuses(token)
            assert not watcher.refuses(other)
            assert watcher.count((made.api_key.id, "", "")) == 1
    refused = world.keys.ListApiKeys(
        pb.ListApiKeysRequest(organization_id=personal), metadata=(("ratoon-caller", token),)
    )
    assert await refusal(refused) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_TOKEN_INVALID")


async def test_an_open_transaction_delays_no_revocation(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    async with world.database.pool.acquire() as older, older.transaction():
        await older.fetchval("SELECT pg_current_xact_id()")
        async with watching(world) as watcher:
            for _ in range(3):
                made = await world.create_key(me, personal)
                await _delete(world, me, personal, made.api_key.name)
                await watcher.until((made.api_key.id, "", ""))
                assert watcher.count((made.api_key.id, "", "")) == 1


async def test_what_orgs_changes_is_revoked(world: World) -> None:
    o = str(uuid4())
    async with watching(world) as watcher:
        for event, named in (
            (MembershipChanged(o, "a"), ("", "a", o)),
            (MembershipEnded(o, "b"), ("", "b", o)),
            (OrganizationChanged(o), ("", "", o)),
        ):
            await world.orgs.announce(event)
            await watcher.until(named)
        other = str(uuid4())
        await world.orgs.announce(OrganizationDeleted(other))
        await watcher.until(("", "", other))


async def test_what_orgs_may_have_said_unheard_revokes_everything(world: World) -> None:
    added, _ = await world.add_user()
    token = (await world.authenticate(added.secret)).token
    async with watching(world) as watcher:
        assert not watcher.refuses(token)
        await world.orgs_server.stop()
        await world.orgs_server.start()
        await watcher.until(("", "", ""))
        assert watcher.refuses(token)
        assert not watcher.refuses((await world.authenticate(added.secret)).token)
        assert not watcher.refuses(world.by("gateway")[0][1])


async def test_lost_connections_to_the_database_lose_no_revocation(world: World, url: str) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    made = await world.create_key(me, personal)
    admin = await asyncpg.connect(url)
    async with watching(world) as watcher:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # As another replica would, while this one has no connection.
        await admin.execute(
            "INSERT INTO outbox (type, payload, origin) VALUES ('caller_revoked',"
            " jsonb_build_object('api_key_id', $1::text, 'user_id', '', 'organization_id', ''), '{}')",
            made.api_key.id,
        )
        await watcher.until((made.api_key.id, "", ""))
    await admin.close()


async def test_no_token_of_a_deleted_key_survives_whoever_was_first(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)

    async def tokens(secret: str) -> list[str]:
        """Authenticate until it is refused."""
        got: list[str] = []
        while True:
            call = world.authentication.Authenticate(
                world.request(secret), metadata=world.by("gateway")
            )
            if await call.code() is grpc.StatusCode.UNAUTHENTICATED:
                return got
            got.append((await call).token)

    async with watching(world) as watcher:
        for _ in range(10):
            made = await world.create_key(me, personal)
            loops = [asyncio.create_task(tokens(made.secret)) for _ in range(3)]
            first = (await world.authenticate(made.secret)).token
            await _delete(world, me, personal, made.api_key.name)
            got = [first, *(t for loop in await asyncio.gather(*loops) for t in loop)]
            await watcher.until((made.api_key.id, "", ""))
            assert all(watcher.refuses(t) for t in got)


async def test_only_machines_of_the_inside_may_watch(world: World) -> None:
    stream = world.authentication.WatchRevocations(
        authentication_service_pb2.WatchRevocationsRequest(), metadata=world.by("operator")
    )
    assert (await refusal(stream.read()))[1] == "SERVICE_REFUSED"


async def test_a_watcher_that_does_not_read_is_told_to_drop_everything(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_PENDING", 3)
    hub = Revocations(Verifier(keyring.trust()))
    watch = hub.watch()
    assert await anext(watch) == []
    for i in range(5):
        hub._publish([(str(i), Revoked(api_key_id=str(i)))])
    told = await anext(watch)
    assert [r.api_key_id for r in told] == ["", "4"]
    assert told[0].time.ToNanoseconds() / 1e9 <= time.time()
    await watch.aclose()
    assert not hub._watches


async def test_a_row_that_is_read_again_is_told_once(keyring: Keyring) -> None:
    verifier = Verifier(keyring.trust())
    hub = Revocations(verifier)
    watch = hub.watch()
    assert await anext(watch) == []
    for _ in range(3):
        hub._publish([("1", Revoked(user_id="u")), ("2", Revoked(user_id="v"))])
    assert [r.user_id for r in await anext(watch)] == ["u", "v"]
    await watch.aclose()
    assert len(verifier._revoked) == 2
