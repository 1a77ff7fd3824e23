"""Pages of keys, and keys that nobody uses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from chassis.pages import token_of
from ratoon.auth.v1 import api_key_service_pb2 as pb
from tests.integration.auth.conftest import World, refusal

PERSON, ORGANIZATION = "auth0|ada", "0b54b5b0-1c41-4a71-b2b7-3d8f0a4b7c11"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def _page(world: World, me: Any, **fields: Any) -> pb.ListApiKeysResponse:
    request = pb.ListApiKeysRequest(organization_id=ORGANIZATION, **fields)
    answer: pb.ListApiKeysResponse = await world.keys.ListApiKeys(request, metadata=me)
    return answer


async def _walk(world: World, me: Any, size: int, **fields: Any) -> list[str]:
    names, token = list[str](), ""
    while True:
        page = await _page(world, me, page_size=size, page_token=token, **fields)
        assert len(page.api_keys) <= size
        names += [k.name for k in page.api_keys]
        token = page.next_page_token
        if not token:
            return names


async def _keys(world: World, me: Any, used: dict[str, int | None]) -> None:
    """Make keys; say how many days ago each was last used (None: never), and made one day before."""
    now = datetime.now(UTC)
    for name, days in used.items():
        await world.create_key(me, ORGANIZATION, name)
        moment = None if days is None else now - timedelta(days=days)
        await world.database.pool.execute(
            "UPDATE api_keys SET last_used_at = $2, created_at = coalesce($2, created_at)"
            " - interval '1 day' WHERE name = $1",
            name,
            moment,
        )


async def test_a_walk_shows_every_key_once_in_order(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    await _keys(world, me, {"a": 3, "b": None, "c": 1, "d": None, "e": 2, "f": 2})
    whole = [k.name for k in (await _page(world, me)).api_keys]
    assert whole[0] == "c"
    assert whole[3:] == ["a", "d", "b"]
    for size in range(1, 8):
        assert await _walk(world, me, size) == whole


async def test_a_key_used_meanwhile_is_never_shown_twice(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    await _keys(world, me, {"a": 1, "b": 2, "c": 3, "d": 4, "e": None})
    first = await _page(world, me, page_size=2)
    assert [k.name for k in first.api_keys] == ["a", "b"]
    await world.database.pool.execute(
        "UPDATE api_keys SET last_used_at = now() WHERE name IN ('a', 'c')"
    )
    await world.database.pool.execute("DELETE FROM api_keys WHERE name = 'b'")
    rest = await _page(world, me, page_token=first.next_page_token)
    assert [k.name for k in rest.api_keys] == ["d", "e"]


async def test_keys_that_nobody_uses_are_found(world: World) -> None:
    me = world.owner(PERSON, ORGANIZATION)
    await _keys(world, me, {"fresh": 0, "week": 8, "month": 40})
    await world.create_key(me, ORGANIZATION, "new")
    await world.create_key(me, ORGANIZATION, "stale")
    await world.database.pool.execute(
        "UPDATE api_keys SET created_at = now() - interval '10 days' WHERE name = 'stale'"
    )
    assert await _walk(world, me, 1, unused_days=7) == ["week", "month", "stale"]
    assert await _walk(world, me, 2, unused_days=30) == ["month"]
    assert await _walk(world, me, 9, unused_days=36_500) == []
    for days in (-1, 36_501):
        assert await refusal(_page(world, me, unused_days=days)) == (INVALID, "UNUSED_DAYS_INVALID")


async def test_pages_are_of_one_holder_where_one_is_asked_for(world: World) -> None:
    owner, member = (
        world.owner("boss", ORGANIZATION),
        world.person(PERSON, ORGANIZATION, "member", ()),
    )
    for me, name in ((owner, "a"), (member, "b"), (member, "c"), (owner, "d")):
        await world.create_key(me, ORGANIZATION, name)
    assert await _walk(world, owner, 1) == ["d", "c", "b", "a"]
    assert await _walk(world, owner, 1, user_id=PERSON) == ["c", "b"]
    assert await _walk(world, member, 1) == ["c", "b"]
    assert await _walk(world, member, 1, user_id=PERSON) == ["c", "b"]
    assert await _walk(world, owner, 1, user_id="a\0b") == []
    call = _page(world, member, user_id="boss")
    assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_KEY_HOLDER")


@pytest.mark.parametrize(
    "token",
    [
        *("x", "é", "a" * 9999, token_of(1), token_of("a", "b", "c"), token_of(1, 2, "no id")),
        token_of(1, 2, 3),
    ],
)
async def test_what_is_no_end_of_a_page_is_refused(world: World, token: str) -> None:
    call = _page(world, world.owner(PERSON, ORGANIZATION), page_token=token)
    assert await refusal(call) == (INVALID, "PAGE_TOKEN_INVALID")
