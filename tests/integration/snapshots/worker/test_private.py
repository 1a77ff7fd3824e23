"""Private images: pulled with what the organization has for their registry, and by nobody else."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from chassis.sealing import KeyRing, Keys
from services.snapshots.commands import registries
from services.snapshots.domain.registries import draft
from services.snapshots.images.credentials import OwnCredentials
from tests.images import image
from tests.integration.snapshots.images.scripted import Reply, Request, ScriptedRegistry
from tests.integration.snapshots.worker.house import House
from tests.registry import PASSWORD, USER, Registry, running_registry

RING = KeyRing(text=Keys("", {}).renewed().dump())


@pytest.fixture(scope="module")
def locked() -> Iterator[Registry]:
    with running_registry(password=True) as running:
        yield running


async def _give(house: House, organization: UUID, host: str, password: str, **more: str) -> None:
    wanted = draft("r", host, more.get("username", USER), password, more.get("project", ""))
    async with house.database.sessions.begin() as session:
        await registries.create(session, RING, organization, wanted)


async def test_a_private_image_is_for_who_has_credentials(house: House, locked: Registry) -> None:
    made = image(seed=71)
    locked.push("team/app", "1", made)
    mine, theirs, wrong = house.organization(), house.organization(), house.organization()
    await _give(house, mine.id, locked.host, PASSWORD, project="team")
    await _give(house, wrong.id, locked.host, "wrong")
    known = OwnCredentials(house.database.sessions, RING)
    name = f"{locked.host}/team/app:1"
    async with house.worker(locked.host, credentials=known):
        row = await mine.until(await mine.create(name), "active")
        assert row.size_bytes == made.size
        for organization in (theirs, wrong):
            failed = await organization.failure(name)
            assert failed.error_code == "REGISTRY_UNAUTHORIZED"
            assert "wrong" not in failed.error_reason
        # What one organization may have is not found by another, though the bytes are here.
        by_digest = f"{locked.host}/team/app@{made.manifest.digest}"
        assert (await theirs.failure(by_digest)).error_code == "REGISTRY_UNAUTHORIZED"
        await house.check_at_rest()


async def test_credentials_are_shown_to_their_own_host_alone(
    house: House, scripted: ScriptedRegistry, locked: Registry
) -> None:
    scripted.serve(image(seed=72))
    asked: list[Request] = []

    def guard(request: Request) -> Reply | None:
        asked.append(request)
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})

    scripted.guard = guard
    mine = house.organization()
    await _give(house, mine.id, locked.host, PASSWORD)
    known = OwnCredentials(house.database.sessions, RING)
    async with house.worker(scripted.host, locked.host, credentials=known):
        failed = await mine.failure(f"{scripted.host}/a/b:1")
    assert failed.error_code == "REGISTRY_UNAUTHORIZED"
    assert asked
    assert not any("authorization" in request.headers for request in asked)
