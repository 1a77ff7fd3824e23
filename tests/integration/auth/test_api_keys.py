"""ApiKeyService over a real socket, into a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc.caller import Caller
from chassis.permissions import ALL
from ratoon.auth.v1 import api_key_service_pb2 as pb
from ratoon.auth.v1 import authentication_service_pb2 as authentication
from tests.integration.auth.conftest import World, refusal

PERSON = "auth0|ada"
ORGANIZATION = "0b54b5b0-1c41-4a71-b2b7-3d8f0a4b7c11"
NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "API_KEY_NOT_FOUND")
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def _at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


async def _list(world: World, me: Any, organization: str = ORGANIZATION) -> list[Any]:
    request = pb.ListApiKeysRequest(organization_id=organization)
    return list((await world.keys.ListApiKeys(request, metadata=me)).api_keys)


async def _delete(world: World, me: Any, name: str, user_id: str = "") -> None:
    request = pb.DeleteApiKeyRequest(organization_id=ORGANIZATION, name=name, user_id=user_id)
    await world.keys.DeleteApiKey(request, metadata=me)


async def _get(world: World, me: Any, name: str) -> Any:
    request = pb.GetApiKeyRequest(organization_id=ORGANIZATION, name=name)
    return (await world.keys.GetApiKey(request, metadata=me)).api_key


async def test_a_new_key_shows_its_secret_once(world: World) -> None:
    me, later = world.owner(PERSON, ORGANIZATION), datetime.now(UTC) + timedelta(days=1)
    made = await world.create_key(
        me,
        ORGANIZATION,
        "Schlüssel",
        permissions=["write:images", "read:limits"],
        expire_time=_at(later),
    )
    assert made.secret.startswith("dtn_")
    assert len(made.secret) == 68
    key = made.api_key
    assert (key.organization_id, key.user_id, key.name) == (ORGANIZATION, PERSON, "Schlüssel")
    assert list(key.permissions) == ["write:snapshots", "read:limits"]
    assert (key.prefix, key.suffix) == ("dtn", made.secret[-3:])
    assert key.expire_time == _at(later)
    assert not key.HasField("last_use_time")
    assert abs(key.create_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(seconds=30)
    assert await _list(world, me) == [key] == [await _get(world, me, "Schlüssel")]
    stored = await world.database.pool.fetch("SELECT k::text || o::text FROM api_keys k, outbox o")
    assert all(made.secret not in row[0] for row in stored)


async def test_a_member_gives_away_only_what_is_held(world: World) -> None:
    me = world.person(PERSON, ORGANIZATION, "member", {"read:limits"})
    await world.create_key(me, ORGANIZATION)
    await world.create_key(me, ORGANIZATION, permissions=["read:limits"])
    call = world.create_key(me, ORGANIZATION, permissions=["write:snapshots"])
    assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSIONS_NOT_HELD")


async def test_a_key_makes_keys_no_stronger_than_itself(world: World) -> None:
    key = Caller(
        credential="api_key",
        user_id=PERSON,
        organization_id=ORGANIZATION,
        organization_role="owner",
        permissions=frozenset({"manage:api_keys", "read:limits"}),
        api_key_id=str(uuid4()),
    )
    me = world.keyring.metadata(key)
    made = await world.create_key(me, ORGANIZATION, permissions=["read:limits"])
    assert not made.api_key.system_admin
    call = world.create_key(me, ORGANIZATION, permissions=["read:limits", "manage:roles"])
    assert (await refusal(call))[1] == "PERMISSIONS_NOT_HELD"


async def test_a_key_without_the_permission_manages_no_keys(world: World) -> None:
    key = Caller(
        credential="api_key",
        user_id=PERSON,
        organization_id=ORGANIZATION,
        organization_role="owner",
        permissions=ALL - {"manage:api_keys"},
    )
    me = world.keyring.metadata(key)
    for call in (
        world.create_key(me, ORGANIZATION),
        _list(world, me),
        _get(world, me, "x"),
        _delete(world, me, "x"),
    ):
        assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")


@pytest.mark.parametrize("name", ["", " ", "current", "<b>", "a\0b", "x" * 256, "see www.x"])
async def test_a_bad_name_is_refused(world: World, name: str) -> None:
    request = pb.CreateApiKeyRequest(organization_id=ORGANIZATION, name=name)
    call = world.keys.CreateApiKey(request, metadata=world.owner(PERSON, ORGANIZATION))
    assert await refusal(call) == (INVALID, "API_KEY_NAME_INVALID")


async def test_bad_permissions_and_expiries_are_refused(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    for permission in ("", "x", "a\0b", "é" * 5000):
        call = world.create_key(me, ORGANIZATION, permissions=[permission])
        assert await refusal(call) == (INVALID, "API_KEY_PERMISSION_UNKNOWN")
    for stamp in (
        _at(datetime.now(UTC)),
        Timestamp(seconds=0),
        Timestamp(seconds=-(10**18)),
        Timestamp(seconds=10**18),
        Timestamp(seconds=2**40, nanos=-5),
    ):
        call = world.create_key(me, ORGANIZATION, expire_time=stamp)
        assert await refusal(call) == (INVALID, "API_KEY_EXPIRY_PAST")
    assert await _list(world, me) == []


async def test_a_name_is_taken_once_per_holder_and_organization(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    await world.create_key(me, ORGANIZATION, "ci")
    call = world.create_key(me, ORGANIZATION, "ci")
    assert await refusal(call) == (grpc.StatusCode.ALREADY_EXISTS, "API_KEY_NAME_TAKEN")
    await world.create_key(world.owner("other", ORGANIZATION), ORGANIZATION, "ci")
    other = str(uuid4())
    await world.create_key(world.owner(PERSON, other), other, "ci")


async def test_of_ten_at_once_one_gets_the_name_and_its_secret_works(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    tries = (world.create_key(me, personal, "same") for _ in range(10))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    won = [a for a in answers if not isinstance(a, BaseException)]
    lost = [a for a in answers if isinstance(a, grpc.aio.AioRpcError)]
    assert (len(won), len(lost)) == (1, 9)
    assert {e.code() for e in lost} == {grpc.StatusCode.ALREADY_EXISTS}
    caller = (await world.authenticate(won[0].secret)).caller
    assert caller.api_key_id == won[0].api_key.id
    assert len(await _list(world, me, personal)) == 1


async def test_owners_see_all_keys_and_members_their_own_latest_used_first(world: World) -> None:
    owner = world.owner("boss", ORGANIZATION)
    member = world.person(PERSON, ORGANIZATION, "member", ())
    keys = {}
    for name, me in (("a", owner), ("b", member), ("c", member), ("d", owner)):
        keys[name] = (await world.create_key(me, ORGANIZATION, name)).api_key.id
    now = datetime.now(UTC)
    uses = [(keys["b"], now - timedelta(hours=1)), (keys["a"], now - timedelta(minutes=1))]
    await _report(world, *uses)
    assert [k.name for k in await _list(world, owner)] == ["a", "b", "d", "c"]
    assert [k.name for k in await _list(world, member)] == ["b", "c"]
    elsewhere = str(uuid4())
    assert await _list(world, world.owner("boss", elsewhere), elsewhere) == []


async def test_account_keys_belong_to_no_organization(world: World) -> None:
    added, personal = await world.add_user()
    assert await _list(world, world.owner(added.user.id, personal), personal) == []


async def test_one_gets_own_keys_only_even_as_owner(world: World) -> None:
    owner, member = (
        world.owner("boss", ORGANIZATION),
        world.person(PERSON, ORGANIZATION, "member", ()),
    )
    await world.create_key(member, ORGANIZATION, "mine")
    assert (await _get(world, member, "mine")).name == "mine"
    for me, name in ((owner, "mine"), (member, "other"), (member, "a\0b"), (member, "x" * 9999)):
        assert await refusal(_get(world, me, name)) == NOT_FOUND


async def test_members_delete_their_own_keys_and_owners_all(world: World) -> None:
    owner, member = (
        world.owner("boss", ORGANIZATION),
        world.person(PERSON, ORGANIZATION, "member", ()),
    )
    for name in ("one", "two"):
        await world.create_key(member, ORGANIZATION, name)
    await world.create_key(owner, ORGANIZATION, "boss's")
    for name in ("boss's", "missing"):
        assert await refusal(_delete(world, member, name, "boss")) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "NOT_KEY_HOLDER",
        )
    await _delete(world, member, "one")
    await _delete(world, owner, "two", PERSON)
    for me, name, holder in (
        (member, "one", ""),
        (owner, "two", PERSON),
        (owner, "a\0b", ""),
        (owner, "x", "a\0b"),
    ):
        assert await refusal(_delete(world, me, name, holder)) == NOT_FOUND
    assert [k.name for k in await _list(world, owner)] == ["boss's"]


async def test_no_key_of_another_organization_is_touched(world: World) -> None:
    made = await world.create_key(world.owner(PERSON, ORGANIZATION), ORGANIZATION, "ci")
    other = str(uuid4())
    me = world.owner(PERSON, other)
    assert await refusal(_delete(world, me, "ci")) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "ORGANIZATION_FORBIDDEN",
    )
    request = pb.DeleteApiKeyRequest(organization_id=other, name="ci", user_id=PERSON)
    assert await refusal(world.keys.DeleteApiKey(request, metadata=me)) == NOT_FOUND
    assert await _list(world, world.owner(PERSON, ORGANIZATION)) == [made.api_key]


async def test_what_happens_to_a_key_is_told(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    made = await world.create_key(me, ORGANIZATION, "ci", permissions=["read:limits"])
    await _delete(world, me, "ci")
    rows = await world.database.pool.fetch(
        "SELECT type, organization_id, payload::text, origin->>'user_id' FROM outbox ORDER BY id"
    )
    assert [(r[0], r[1], r[3]) for r in rows] == [
        ("api_key_created", ORGANIZATION, PERSON),
        ("caller_revoked", ORGANIZATION, PERSON),
        ("api_key_deleted", ORGANIZATION, PERSON),
    ]
    assert all(made.api_key.id in r[2] for r in rows)


async def test_the_same_idempotency_key_gets_the_same_secret_again(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    fields = {"permissions": ["read:limits"], "request_id": "once"}
    first = await world.create_key(me, ORGANIZATION, "ci", **fields)
    assert await world.create_key(me, ORGANIZATION, "ci", **fields) == first
    stored = await world.database.pool.fetch("SELECT answer FROM idempotency")
    assert [first.secret.removeprefix("dtn_").encode() in row[0] for row in stored] == [False]
    call = world.create_key(me, ORGANIZATION, "other", **fields)
    assert await refusal(call) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    stranger = world.owner("stranger", ORGANIZATION)
    theirs = await world.create_key(stranger, ORGANIZATION, "ci", **fields)
    assert theirs.secret != first.secret
    call = world.create_key(me, ORGANIZATION, "x", request_id="a\nb")
    assert await refusal(call) == (INVALID, "IDEMPOTENCY_KEY_INVALID")


async def test_a_repeated_answer_asks_nothing_anew(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    soon = _at(datetime.now(UTC) + timedelta(seconds=1))
    fields = {"expire_time": soon, "request_id": "once"}
    first = await world.create_key(me, ORGANIZATION, "ci", **fields)
    await _delete(world, me, "ci")
    weaker = world.person(PERSON, ORGANIZATION, "member", ())
    assert await world.create_key(weaker, ORGANIZATION, "ci", **fields) == first
    assert (await refusal(world.authenticate(first.secret)))[1] == "CREDENTIAL_INVALID"


async def test_of_ten_at_once_with_one_idempotency_key_all_get_the_one_key(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    answers = await asyncio.gather(
        *(world.create_key(me, personal, "ci", request_id="once") for _ in range(10))
    )
    assert all(a == answers[0] for a in answers)
    caller = (await world.authenticate(answers[0].secret)).caller
    assert caller.api_key_id == answers[0].api_key.id


async def test_a_refused_create_leaves_the_idempotency_key_free(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    await world.create_key(me, ORGANIZATION, "taken")
    for _ in range(2):
        call = world.create_key(me, ORGANIZATION, "taken", request_id="once")
        assert (await refusal(call))[1] == "API_KEY_NAME_TAKEN"
    await world.create_key(me, ORGANIZATION, "free", request_id="once")


async def _report(world: World, *uses: tuple[str, datetime | Timestamp]) -> None:
    request = authentication.ReportApiKeyUseRequest()
    for id_, moment in uses:
        stamp = _at(moment) if isinstance(moment, datetime) else moment
        request.uses.add(api_key_id=id_, last_use_time=stamp)
    await world.authentication.ReportApiKeyUse(request, metadata=world.by("gateway"))


async def test_the_latest_use_is_kept(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    id_ = (await world.create_key(me, ORGANIZATION, "ci")).api_key.id
    now = datetime.now(UTC)
    earlier, later = now - timedelta(minutes=2), now - timedelta(minutes=1)
    await _report(world, (id_, later), (id_, earlier), (str(uuid4()), now), ("x", now), ("", now))
    assert (await _get(world, me, "ci")).last_use_time == _at(later)
    await _report(world, (id_, earlier))
    await _report(world, (id_, Timestamp(seconds=10**17)))
    assert (await _get(world, me, "ci")).last_use_time == _at(later)
    await _report(world, (id_.upper(), now + timedelta(days=1)))
    used = (await _get(world, me, "ci")).last_use_time.ToDatetime(UTC)
    assert later < used < now + timedelta(minutes=1)


async def test_reports_that_meet_do_not_stop_each_other(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    made = await asyncio.gather(*(world.create_key(me, ORGANIZATION) for _ in range(50)))
    ids = [m.api_key.id for m in made]
    start = datetime.now(UTC) - timedelta(hours=1)
    await asyncio.gather(
        *(
            _report(world, *((i, start + timedelta(seconds=n)) for i in ids[:: (-1) ** n]))
            for n in range(20)
        )
    )
    last = {k.last_use_time.ToDatetime(UTC) for k in await _list(world, me)}
    assert last == {start + timedelta(seconds=19)}


async def test_a_report_is_bounded(world: World) -> None:
    now = datetime.now(UTC)
    await _report(world)
    await _report(world, *((str(uuid4()), now) for _ in range(1000)))
    call = _report(world, *((str(uuid4()), now) for _ in range(1001)))
    assert await refusal(call) == (INVALID, "TOO_MANY_USES")
