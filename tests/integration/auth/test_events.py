"""Keys lose their ground when orgs says so, once, and for good."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc

from ratoon.auth.v1 import api_key_service_pb2 as pb
from tests.fakes import MembershipChanged, MembershipEnded, OrganizationDeleted
from tests.integration.auth.conftest import World, refusal


async def _names(world: World, organization_id: str) -> list[str]:
    request = pb.ListApiKeysRequest(organization_id=organization_id)
    me = world.owner("reader", organization_id)
    return sorted(k.name for k in (await world.keys.ListApiKeys(request, metadata=me)).api_keys)


async def _consumed(world: World) -> None:
    """Wait until auth has taken everything of orgs' feed into effect."""
    marker = str(uuid4())
    await world.orgs.announce(MembershipChanged(marker, "nobody"))
    last = await world.orgs.database.pool.fetchval(
        "SELECT xid::text || '-' || id FROM outbox WHERE organization_id = $1", marker
    )
    query = "SELECT cursor FROM feed_cursors WHERE feed = 'orgs'"
    async with asyncio.timeout(15):
        while _place(await world.database.pool.fetchval(query)) < _place(last):
            # While others write, the last event may be held back until another one comes.
            await world.orgs.announce(MembershipChanged(str(uuid4()), "nobody"))


def _place(cursor: str | None) -> tuple[int, int]:
    xid, _, id_ = (cursor or "0-0").partition("-")
    return int(xid), int(id_)


async def _create(world: World, user_id: str, organization_id: str, name: str) -> Any:
    return await world.create_key(world.owner(user_id, organization_id), organization_id, name)


async def test_who_leaves_loses_the_keys_of_that_organization_for_good(world: World) -> None:
    added, personal = await world.add_user()
    user = added.user.id
    organization = world.orgs.organization("boss", **{user: ()})
    hers = await _create(world, user, organization, "hers")
    await _create(world, "boss", organization, "his")
    kept = await _create(world, user, personal, "personal")
    await world.orgs.remove(user, organization)
    await _consumed(world)
    assert await _names(world, organization) == ["his"]
    assert await _names(world, personal) == ["personal"]
    world.orgs.members[user, organization] = ("member", ())
    assert await refusal(world.authenticate(hers.secret)) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "CREDENTIAL_INVALID",
    )
    assert (await world.authenticate(kept.secret)).caller.organization_id == personal
    assert (await world.authenticate(added.secret)).caller.organization_id == personal
    told = await world.database.pool.fetch(
        "SELECT type, payload->>'api_key_id' FROM outbox WHERE type <> 'api_key_created'"
        " AND organization_id = $1 ORDER BY id",
        organization,
    )
    assert [tuple(t) for t in told] == [
        ("caller_revoked", hers.api_key.id),
        ("api_key_deleted", hers.api_key.id),
    ]


async def test_keys_made_after_a_return_outlive_the_news_of_the_leaving(world: World) -> None:
    user, organization = "ada", world.orgs.organization("ada")
    old = await _create(world, user, organization, "old")
    await _create(world, user, organization, "new")
    await world.database.pool.execute(
        "UPDATE api_keys SET created_at = created_at + $1 WHERE name = 'new'",
        timedelta(minutes=1),
    )
    await world.orgs.announce(MembershipEnded(organization, user))
    await _consumed(world)
    assert await _names(world, organization) == ["new"]
    assert (await refusal(world.authenticate(old.secret)))[1] == "CREDENTIAL_INVALID"


async def test_with_an_organization_go_all_its_keys(world: World) -> None:
    organization, other = world.orgs.organization("ada"), world.orgs.organization("ada")
    for user in ("ada", "bob"):
        await _create(world, user, organization, "k")
    await _create(world, "ada", other, "k")
    await world.orgs.announce(OrganizationDeleted(organization))
    await _consumed(world)
    assert await _names(world, organization) == []
    assert await _names(world, other) == ["k"]


async def test_what_is_no_organization_stops_nothing(world: World) -> None:
    organization = world.orgs.organization("ada")
    await _create(world, "ada", organization, "k")
    await world.orgs.announce(OrganizationDeleted("not an id"))
    await world.orgs.announce(MembershipEnded("", "ada"))
    await world.orgs.announce(OrganizationDeleted(organization))
    await _consumed(world)
    assert await _names(world, organization) == []


async def test_a_key_made_while_its_maker_is_removed_is_taken_back(world: World) -> None:
    organization = world.orgs.organization("boss", ada=())
    me = world.owner("ada", organization)
    stream = world.watch()
    async with world.database.pool.acquire() as other:
        async with other.transaction():
            # The door has let the request in; its insert has to wait.
            await other.execute("LOCK TABLE api_keys IN EXCLUSIVE MODE")
            create = asyncio.create_task(world.create_key(me, organization, "late"))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'api_keys'::regclass"
            async with asyncio.timeout(10):
                while not await world.database.pool.fetchval(waiting):
                    await asyncio.sleep(0)
            await world.orgs.remove("ada", organization)
            async with asyncio.timeout(10):
                while not any(r.user_id == "ada" for r in (await stream.read()).revocations):
                    pass
        assert await refusal(create) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "CALLER_TOKEN_INVALID",
        )
    stream.cancel()
    await _consumed(world)
    assert await _names(world, organization) == []


async def test_the_deletion_bears_the_name_of_who_caused_it(world: World) -> None:
    organization = world.orgs.organization("ada")
    await _create(world, "ada", organization, "k")
    await world.orgs.database.pool.execute(
        "INSERT INTO outbox (type, organization_id, payload, origin)"
        " SELECT 'organization_deleted', $1::text, jsonb_build_object('organization_id', $1::text),"
        ' \'{"user_id": "ada", "request_id": "r-1"}\'',
        organization,
    )
    await _consumed(world)
    assert (
        await world.database.pool.fetchval(
            "SELECT origin->>'request_id' FROM outbox WHERE type = 'api_key_deleted'"
        )
        == "r-1"
    )
