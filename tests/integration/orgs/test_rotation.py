"""The encryption key is replaced while servers go on serving, and whatever ends the replacement."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from chassis import rotation
from chassis.db import Database
from chassis.rotation import RotationRunning
from chassis.sealing import KeyRing, Keys, id_of
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_pb2 import OtelConfig
from services.orgs.commands import sealed
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.conftest import House, a_house


async def rotate(database: Database, ring: KeyRing) -> int:
    return await rotation.rotate(database, ring, sealed)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "keys.json"
    path.parent.mkdir()
    path.write_text(Keys("", {}).renewed().dump())
    return path


@pytest.fixture
async def house(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path, keys: Path
) -> AsyncIterator[House]:
    url = await make_database("services.orgs")
    told = {"encryption_keys": None, "encryption_keys_file": keys}
    async with a_house(url, keyring, tmp_path, **told) as house:
        yield house


async def _seal(house: House, owner: str, id_: str, value: str) -> None:
    config = OtelConfig(endpoint="https://otel", headers={"k": value})
    await house.organizations.SetOtelConfig(
        pb.SetOtelConfigRequest(organization_id=id_, config=config),
        metadata=house.as_user(owner, id_, "owner"),
    )


async def _read(house: House, id_: str) -> str:
    request = pb.GetOtelConfigRequest(organization_id=id_)
    answer = await house.organizations.GetOtelConfig(request, metadata=house.as_collector())
    return answer.config.headers["k"]


async def _many(house: House, count: int) -> dict[str, str]:
    """Return owners by organization, each with a header that says which it is."""
    made = {}
    for _ in range(count):
        owner, personal = await house.person()
        await _seal(house, owner, personal, personal)
        made[personal] = owner
    return made


async def _used(house: House) -> set[str]:
    rows = await house.database.pool.fetch(
        "SELECT otel_headers FROM organizations WHERE otel_headers IS NOT NULL"
    )
    return {id_of(row[0]) for row in rows}


async def test_everything_is_sealed_anew_and_nothing_else_changes(
    house: House, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "_BATCH", 2)
    made = await _many(house, 5)
    before = {id_: await house.get(owner, id_) for id_, owner in made.items()}
    old = KeyRing(keys).keys().active
    assert await rotate(house.database, KeyRing(keys)) == 5
    left = KeyRing(keys).keys()
    assert set(left.secrets) == {left.active}
    assert left.active != old
    assert await _used(house) == {left.active}
    # The server had read the keys before, and looks again.
    for id_, owner in made.items():
        assert await _read(house, id_) == id_
        assert await house.get(owner, id_) == before[id_]
    assert await rotate(house.database, KeyRing(keys)) == 5


async def test_nothing_is_lost_while_everybody_writes(house: House, keys: Path) -> None:
    made = await _many(house, 6)
    done = asyncio.Event()
    written: dict[str, str] = {}

    async def write(id_: str, owner: str) -> None:
        number = 0
        while not done.is_set():
            number += 1
            await _seal(house, owner, id_, f"{id_} {number}")
            written[id_] = f"{id_} {number}"

    writers = [asyncio.create_task(write(id_, owner)) for id_, owner in made.items()]
    for _ in range(8):
        await rotate(house.database, KeyRing(keys))
    done.set()
    await asyncio.gather(*writers)
    left = KeyRing(keys).keys()
    assert set(left.secrets) == {left.active}
    assert await _used(house) == {left.active}
    for id_ in made:
        assert await _read(house, id_) == written[id_]


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", ["_replace", "_reseal_all", "_forget_unused"])
@pytest.mark.parametrize("after", [False, True])
async def test_ended_at_any_step_it_is_gone_on_with(
    house: House, keys: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    made = await _many(house, 3)
    first = KeyRing(keys).keys().active
    whole = getattr(rotation, step)

    async def die(*arguments: object) -> None:
        if after:
            await whole(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rotation, step, die)
        with pytest.raises(Killed):
            await rotate(house.database, KeyRing(keys))
    for id_ in made:
        assert await _read(house, id_) == id_
    await rotate(house.database, KeyRing(keys))
    left = KeyRing(keys).keys()
    assert set(left.secrets) == {left.active}
    assert left.active != first
    assert await _used(house) == {left.active}
    for id_ in made:
        assert await _read(house, id_) == id_


async def test_keys_that_the_platform_gives_are_left_to_it(house: House, keys: Path) -> None:
    made = await _many(house, 3)
    given = KeyRing(keys).keys().renewed()
    assert await rotate(house.database, KeyRing(text=given.dump())) == 3
    assert await _used(house) == {given.active}
    keys.write_text(given.dump())
    for id_ in made:
        assert await _read(house, id_) == id_


async def test_one_rotation_at_a_time(
    house: House, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    whole = rotation._reseal_all

    async def wait(*arguments: object) -> int:
        reached.set()
        await go_on.wait()
        return await whole(*arguments)  # type: ignore[arg-type]  # as they were given

    monkeypatch.setattr(rotation, "_reseal_all", wait)
    running = asyncio.create_task(rotate(house.database, KeyRing(keys)))
    await reached.wait()
    with pytest.raises(RotationRunning):
        await rotate(house.database, KeyRing(keys))
    go_on.set()
    await running


async def _process(house: House, keys: Path) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ORGS_DATABASE_URL": house.settings.database_url.get_secret_value(),
        "ORGS_ENCRYPTION_KEYS_FILE": str(keys),
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.orgs", "rotate-keys"),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )


async def test_the_command_may_be_killed_and_called_again(house: House, keys: Path) -> None:
    made = await _many(house, 3)
    blocker = await asyncpg.connect(house.settings.database_url.get_secret_value())
    held = blocker.transaction()
    await held.start()
    await blocker.execute(
        "SELECT FROM organizations WHERE id = $1 FOR UPDATE", UUID(next(iter(made)))
    )
    process = await _process(house, keys)
    async with asyncio.timeout(60):
        # It waits for the row by now, having made a new key.
        while len(KeyRing(keys).keys().secrets) < 2:
            await asyncio.sleep(0)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await held.rollback()
    await blocker.close()
    for id_ in made:
        assert await _read(house, id_) == id_
    process = await _process(house, keys)
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(said) == {"resealed": 3}
    left = KeyRing(keys).keys()
    assert await _used(house) == set(left.secrets) == {left.active}
    for id_ in made:
        assert await _read(house, id_) == id_
