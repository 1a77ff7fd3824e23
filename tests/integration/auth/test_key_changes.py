"""Keys changed and rotated: what holds at once, what works on, and who may."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc.caller import Caller
from ratoon.auth.v1 import api_key_service_pb2 as pb
from tests.integration.auth.conftest import World, refusal
from tests.integration.auth.test_revocations import watching

UNKNOWN = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "API_KEY_NOT_FOUND")
NOT_HOLDER = (grpc.StatusCode.PERMISSION_DENIED, "NOT_KEY_HOLDER")
NOT_HELD = (grpc.StatusCode.PERMISSION_DENIED, "PERMISSIONS_NOT_HELD")
MISMATCH = (grpc.StatusCode.ABORTED, "REVISION_MISMATCH")
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PERSON, ORGANIZATION = "auth0|ada", "0b54b5b0-1c41-4a71-b2b7-3d8f0a4b7c11"


def _at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _in(**time: float) -> Timestamp:
    return _at(datetime.now(UTC) + timedelta(**time))


def _key(world: World, *permissions: str, organization: str = ORGANIZATION, **more: Any) -> Any:
    """Call metadata of a key that an owner holds."""
    caller = Caller(
        credential="api_key",
        user_id=PERSON,
        organization_id=organization,
        organization_role="owner",
        permissions=frozenset({"manage:api_keys", *permissions}),
        api_key_id=more.get("api_key_id", str(uuid4())),
    )
    return world.keyring.metadata(caller)


async def _update(
    world: World, me: Any, name: str, permissions: list[str] | None = None, **fields: Any
) -> Any:
    fields = {"organization_id": ORGANIZATION, **fields}
    if permissions is not None:
        fields["permissions"] = pb.Permissions(permissions=permissions)
    request = pb.UpdateApiKeyRequest(name=name, **fields)
    return (await world.keys.UpdateApiKey(request, metadata=me)).api_key


async def _rotate(world: World, me: Any, name: str, overlap: int = 0, **fields: Any) -> Any:
    fields = {"organization_id": ORGANIZATION, **fields}
    request = pb.RotateApiKeyRequest(name=name, overlap_seconds=overlap, **fields)
    return await world.keys.RotateApiKey(request, metadata=me)


async def test_a_change_holds_at_the_next_request(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    made = await world.create_key(me, personal, "ci", permissions=["write:snapshots"])
    old = await world.authenticate(made.secret)
    async with watching(world) as watcher:
        changed = await _update(
            world, me, "ci", ["write:images", "read:limits"], organization_id=personal
        )
        await watcher.until((made.api_key.id, "", ""))
        assert watcher.refuses(old.token)
    assert list(changed.permissions) == ["write:snapshots", "read:limits"]
    assert (made.api_key.revision, changed.revision) == (1, 2)
    now = await world.authenticate(made.secret)
    assert set(now.caller.permissions) == {"write:snapshots", "read:limits"}
    assert now.api_key == changed
    ended = await _update(world, me, "ci", expire_time=_in(seconds=30), organization_id=personal)
    assert list(ended.permissions) == ["write:snapshots", "read:limits"]
    token = await world.authenticate(made.secret)
    assert abs(token.expire_time.ToNanoseconds() - ended.expire_time.ToNanoseconds()) < 10_000
    cleared = await _update(world, me, "ci", clear_expire_time=True, organization_id=personal)
    assert not cleared.HasField("expire_time")
    assert (await _update(world, me, "ci", [], organization_id=personal)).revision == 5


async def test_what_is_added_must_be_held_and_what_is_there_may_stay(world: World) -> None:
    owner = world.owner(PERSON, ORGANIZATION)
    await world.create_key(owner, ORGANIZATION, "ci", permissions=["write:snapshots"])
    member = world.person(PERSON, ORGANIZATION, "member", {"read:limits"})
    changed = await _update(world, member, "ci", ["write:snapshots", "read:limits"])
    assert list(changed.permissions) == ["write:snapshots", "read:limits"]
    call = _update(world, member, "ci", ["write:snapshots", "manage:roles"])
    assert await refusal(call) == NOT_HELD
    assert await refusal(_update(world, member, "ci", ["x"])) == (
        INVALID,
        "API_KEY_PERMISSION_UNKNOWN",
    )
    await _update(world, member, "ci", [])
    assert await refusal(_update(world, member, "ci", ["write:snapshots"])) == NOT_HELD
    past = _update(world, member, "ci", expire_time=_in(seconds=-1))
    assert await refusal(past) == (INVALID, "API_KEY_EXPIRY_PAST")


async def test_keys_of_others_are_changed_by_owners_and_never_rotated(world: World) -> None:
    owner = world.owner("boss", ORGANIZATION)
    member = world.person(PERSON, ORGANIZATION, "member", {"read:limits"})
    await world.create_key(member, ORGANIZATION, "hers")
    await world.create_key(owner, ORGANIZATION, "his")
    changed = await _update(world, owner, "hers", ["manage:roles"], user_id=PERSON)
    assert list(changed.permissions) == ["manage:roles"]
    call = _update(world, member, "his", [], user_id="boss")
    assert await refusal(call) == NOT_HOLDER
    for me, name, holder in ((member, "his", "boss"), (owner, "hers", PERSON)):
        assert await refusal(_rotate(world, me, name, user_id=holder)) == NOT_HOLDER
    for name, holder in (("x", ""), ("hers", ""), ("a\0b", ""), ("x", "a\0b"), ("his", "nobody")):
        assert await refusal(_update(world, owner, name, [], user_id=holder)) == NOT_FOUND
        assert await refusal(_rotate(world, owner, name, user_id=holder)) == NOT_FOUND
    elsewhere = world.owner("boss", str(uuid4()))
    assert (await refusal(_rotate(world, elsewhere, "his")))[1] == "ORGANIZATION_FORBIDDEN"


async def test_a_key_reads_and_gives_no_more_than_it_has(world: World) -> None:
    owner = world.owner(PERSON, ORGANIZATION)
    await world.create_key(owner, ORGANIZATION, "wide", permissions=["write:snapshots"])
    await world.create_key(owner, ORGANIZATION, "narrow", permissions=["read:snapshots"])
    narrow = _key(world, "write:snapshots", "read:snapshots")
    for permissions in ([], ["write:snapshots"], ["read:snapshots", "read:roles"]):
        call = world.create_key(narrow, ORGANIZATION, permissions=permissions)
        assert await refusal(call) == NOT_HELD
    await world.create_key(narrow, ORGANIZATION, permissions=["read:snapshots"])
    assert await refusal(_update(world, narrow, "narrow", [])) == NOT_HELD
    await _update(world, narrow, "narrow", ["read:snapshots", "write:snapshots"])
    await _update(world, narrow, "wide", ["write:snapshots"])
    assert await refusal(_rotate(world, narrow, "wide")) == NOT_HELD
    await _rotate(world, narrow, "narrow")
    bare = _key(world)
    assert await refusal(_rotate(world, bare, "wide")) == NOT_HELD
    await _rotate(world, _key(world, "write:snapshots"), "wide")


async def test_a_key_rotates_itself(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    made = await world.create_key(me, personal, "ci", permissions=["manage:api_keys"])
    token = (("ratoon-caller", (await world.authenticate(made.secret)).token),)
    turned = await _rotate(world, token, "ci", organization_id=personal)
    assert (await world.authenticate(turned.secret)).api_key.name == "ci"


async def test_after_a_rotation_both_secrets_work_for_the_overlap(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    made = await world.create_key(me, personal, "ci", permissions=["read:limits"])
    turned = await _rotate(world, me, "ci", 20, organization_id=personal)
    assert turned.secret != made.secret
    assert (turned.api_key.id, turned.api_key.revision) == (made.api_key.id, 2)
    assert turned.api_key.suffix == turned.secret[-3:]
    old, new = [await world.authenticate(s) for s in (made.secret, turned.secret)]
    assert old.caller.api_key_id == new.caller.api_key_id == made.api_key.id
    assert list(old.caller.permissions) == ["read:limits"]
    assert (old.caller.api_key_suffix, new.caller.api_key_suffix) == (
        made.secret[-3:],
        turned.secret[-3:],
    )
    # No token of the old secret outlives it; those of the new one do.
    ends = turned.api_key.previous_expire_time
    assert abs(old.expire_time.ToNanoseconds() - ends.ToNanoseconds()) < 10_000
    assert new.expire_time.ToNanoseconds() > ends.ToNanoseconds()
    await world.database.pool.execute("UPDATE api_keys SET previous_expires_at = now()")
    assert await refusal(world.authenticate(made.secret)) == UNKNOWN
    now = await world.authenticate(turned.secret)
    assert not now.api_key.HasField("previous_expire_time")


async def test_an_old_secret_lives_no_longer_than_its_key(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    soon = _in(seconds=25)
    made = await world.create_key(me, personal, "ci", expire_time=soon)
    await _rotate(world, me, "ci", 86_400, organization_id=personal)
    answer = await world.authenticate(made.secret)
    assert abs(answer.expire_time.ToNanoseconds() - soon.ToNanoseconds()) < 10_000


async def test_of_two_rotations_the_first_secret_stops_at_once(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    made = await world.create_key(me, personal, "ci")
    second = await _rotate(world, me, "ci", 3600, organization_id=personal)
    token = (await world.authenticate(made.secret)).token
    async with watching(world) as watcher:
        third = await _rotate(world, me, "ci", 3600, organization_id=personal)
        await watcher.until((made.api_key.id, "", ""))
        assert watcher.refuses(token)
    assert await refusal(world.authenticate(made.secret)) == UNKNOWN
    for secret in (second.secret, third.secret):
        await world.authenticate(secret)
    await _rotate(world, me, "ci", organization_id=personal)
    for secret in (second.secret, third.secret):
        assert await refusal(world.authenticate(secret)) == UNKNOWN


@pytest.mark.parametrize("overlap", [-1, 30 * 86_400 + 1, 2**62])
async def test_an_overlap_is_bounded(world: World, overlap: int) -> None:
    call = _rotate(world, world.owner(PERSON, ORGANIZATION), "ci", overlap)
    assert await refusal(call) == (INVALID, "OVERLAP_INVALID")


async def test_of_ten_rotations_of_one_revision_one_wins(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    await world.create_key(me, personal, "ci")
    which = {"organization_id": personal, "if_revision": 1}
    tries = (_rotate(world, me, "ci", 60, **which) for _ in range(10))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    won = [a for a in answers if not isinstance(a, BaseException)]
    lost = [a for a in answers if isinstance(a, grpc.aio.AioRpcError)]
    assert (len(won), len(lost)) == (1, 9)
    assert {e.code() for e in lost} == {grpc.StatusCode.ABORTED}
    assert (await world.authenticate(won[0].secret)).api_key.revision == 2
    call = _update(world, me, "ci", [], organization_id=personal, if_revision=1)
    assert await refusal(call) == MISMATCH
    await _update(world, me, "ci", [], organization_id=personal, if_revision=2)


async def test_of_ten_rotations_of_any_revision_the_last_two_secrets_work(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    await world.create_key(me, personal, "ci")
    turned = await asyncio.gather(
        *(_rotate(world, me, "ci", 60, organization_id=personal) for _ in range(10))
    )
    in_order = sorted(turned, key=lambda t: t.api_key.revision)
    assert [t.api_key.revision for t in in_order] == list(range(2, 12))
    for past in in_order[:-2]:
        assert await refusal(world.authenticate(past.secret)) == UNKNOWN
    for good in in_order[-2:]:
        await world.authenticate(good.secret)


async def test_changes_are_told_without_secrets(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    made = await world.create_key(me, ORGANIZATION, "ci")
    turned = await _rotate(world, me, "ci", 60)
    await _update(world, me, "ci", ["read:limits"], expire_time=_in(days=1))
    rows = await world.database.pool.fetch(
        "SELECT payload->>'action', payload->>'target_type', payload->>'target_id',"
        " (payload->>'metadata')::jsonb FROM outbox WHERE type = 'audited'"
        " AND organization_id = $1 ORDER BY id",
        ORGANIZATION,
    )
    assert [tuple(r)[:3] for r in rows] == [("update", "api_key", "ci")] * 2
    assert '"rotated": true' in rows[0][3]
    assert '"permissions": ["read:limits"]' in rows[1][3]
    whole = await world.database.pool.fetch("SELECT k::text || o::text FROM api_keys k, outbox o")
    for secret in (made.secret, turned.secret):
        assert all(secret not in row[0] for row in whole)


async def test_a_change_by_somebody_revoked_meanwhile_changes_nothing(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    made = await world.create_key(me, personal, "ci")
    stream = world.watch()
    async with world.database.pool.acquire() as other:
        async with other.transaction():
            await other.execute("SELECT 1 FROM api_keys WHERE name = 'ci' FOR UPDATE")
            call = asyncio.create_task(_rotate(world, me, "ci", organization_id=personal))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            async with asyncio.timeout(10):
                while not await world.database.pool.fetchval(waiting):
                    await asyncio.sleep(0)
            await world.orgs.remove(added.user.id, personal)
            async with asyncio.timeout(10):
                while not any(r.user_id for r in (await stream.read()).revocations):
                    pass
        assert (await refusal(call))[1] in ("CALLER_TOKEN_INVALID", "API_KEY_NOT_FOUND")
    stream.cancel()
    assert made.api_key.revision == 1
