"""What was pushed to a real registry is measured, goes when it is old, and takes nothing along that others have."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.snapshots.commands import grants
from services.snapshots.registries.pushed import Pushed
from services.snapshots.worker.pushed import forget
from tests.images import Image, image
from tests.integration.snapshots.worker.house import House
from tests.registry import Registry, running_registry

DAY = timedelta(days=1)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with running_registry() as running:
        yield running


@pytest.fixture
def pushed(registry: Registry) -> Pushed:
    return Pushed(registry.root / "data")


def _age(pushed: Pushed, days: float = 2) -> None:
    """Make all that is there as old as that."""
    at = time.time() - days * 86_400
    for path in pushed.root.rglob("*"):
        os.utime(path, (at, at))


def _there(registry: Registry, repository: str, made: Image) -> list[int]:
    connection = HTTPConnection(registry.host, timeout=20)
    found = []
    paths = [f"manifests/{made.manifest.digest}", *(f"blobs/{b.digest}" for b in made.blobs)]
    for path in paths:
        accept = {"Accept": made.manifest.media_type}
        connection.request("GET", f"/v2/{repository}/{path}", headers=accept)
        answer = connection.getresponse()
        answer.read()
        found.append(answer.status)
    connection.close()
    return found


def _size(made: Image) -> int:
    return sum(len(content.data) for content in (made.manifest, *made.blobs))


async def test_what_is_old_goes_and_what_others_have_stays(
    house: House, registry: Registry, pushed: Pushed
) -> None:
    old, other, made = uuid4(), uuid4(), image((50_000, 60_000), seed=21)
    alone = image((70_000,), seed=22)
    registry.push(f"{old}/app", "1", made)
    registry.push(f"{old}/deep/er", "1", alone)
    assert pushed.size_of(str(old)) == _size(made) + _size(alone)
    _age(pushed)
    registry.push(f"{other}/app", "1", made)
    gone = await forget(house.database.sessions, pushed, DAY)
    assert gone == _size(alone)
    assert (pushed.size_of(str(old)), pushed.size_of(str(other))) == (0, _size(made))
    assert set(_there(registry, f"{old}/app", made)) == {404}
    assert set(_there(registry, f"{other}/app", made)) == {200}
    # It may be pushed again, by a registry that has run all along.
    registry.push(f"{old}/deep/er", "1", alone)
    assert set(_there(registry, f"{old}/deep/er", alone)) == {200}


async def test_while_somebody_may_push_nothing_of_the_project_goes(
    house: House, registry: Registry, pushed: Pushed
) -> None:
    mine, made = uuid4(), image((50_000,), seed=23)
    registry.push(f"{mine}/app", "1", made)
    _age(pushed)
    async with house.database.sessions.begin() as session:
        await grants.make_for(session, mine, registry.host, "ada", "")
    assert await forget(house.database.sessions, pushed, DAY) == 0
    assert set(_there(registry, f"{mine}/app", made)) == {200}
    await house.database.pool.execute(
        "UPDATE push_grants SET expires_at = now() - interval '11 minutes'"
    )
    assert await forget(house.database.sessions, pushed, DAY) == _size(made)
    assert set(_there(registry, f"{mine}/app", made)) == {404}


async def test_what_is_being_pushed_stays(house: House, registry: Registry, pushed: Pushed) -> None:
    mine, made = uuid4(), image((50_000,), seed=24)
    for blob in made.blobs:
        registry.push_blob(f"{mine}/app", blob)
    assert await forget(house.database.sessions, pushed, DAY) == 0
    registry.push_manifest(f"{mine}/app", "1", made.manifest)
    assert set(_there(registry, f"{mine}/app", made)) == {200}


async def test_what_is_no_project_is_left_alone(
    house: House, registry: Registry, pushed: Pushed
) -> None:
    made = image((50_000,), seed=25)
    registry.push("library/app", "1", made)
    _age(pushed)
    assert await forget(house.database.sessions, pushed, DAY) == 0
    assert set(_there(registry, "library/app", made)) == {200}


async def test_where_nothing_was_pushed_there_is_nothing_to_do(
    house: House, tmp_path: Path
) -> None:
    nothing = Pushed(tmp_path)
    assert (
        nothing.size_of(str(UUID(int=0))),
        await forget(house.database.sessions, nothing, DAY),
    ) == (0, 0)
