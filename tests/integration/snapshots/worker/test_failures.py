"""What cannot be had ends in an error that says so, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.images import Content, image, index
from tests.integration.snapshots.images.scripted import (
    Exchange,
    Reply,
    ScriptedRegistry,
    altered,
    stalled,
)
from tests.integration.snapshots.worker.house import QUICK, TIMEOUTS, House
from tests.integration.snapshots.worker.proxy import Wire, wire_to
from tests.registry import Registry, running_registry


async def test_unknown_image(house: House, registry: Registry) -> None:
    async with house.worker(registry.host):
        row = await house.organization().failure(f"{registry.host}/nothing:1")
        assert row.error_code == "IMAGE_NOT_FOUND"
        assert "nothing" in row.error_reason
        await house.check_at_rest()


async def test_unknown_host(house: House) -> None:
    async with house.worker():
        row = await house.organization().failure("registry.invalid/app:1")
    assert row.error_code == "REGISTRY_HOST_UNKNOWN"
    assert "registry.invalid" in row.error_reason


async def test_a_reference_that_no_registry_could_know(house: House) -> None:
    async with house.worker():
        row = await house.organization().failure("UPPER/Case:1")
    assert row.error_code == "IMAGE_INVALID"


async def test_no_such_platform(house: House, registry: Registry) -> None:
    other = image(seed=31, architecture="arm64")
    registry.push("arm", "arm64", other)
    several = index([(other.manifest, {"os": "linux", "architecture": "arm64"})])
    registry.push_manifest("arm", "1", several)
    async with house.worker(registry.host):
        row = await house.organization().failure(f"{registry.host}/arm:1")
    assert row.error_code == "IMAGE_PLATFORM_MISSING"
    assert "linux/arm64" in row.error_reason


async def test_an_image_larger_than_the_limit_is_not_downloaded(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image(seed=32)
    registry.push("large", "1", made)
    house.largest = 0
    async with house.worker(wire.host):
        row = await house.organization().failure(f"{wire.host}/large:1")
        assert row.error_code == "IMAGE_TOO_LARGE"
        assert str(made.size) in row.error_reason
        assert "0 GiB" in row.error_reason
        assert row.size_bytes == made.size
        # The config tells the platform; nothing else was asked for.
        assert wire.blobs_asked() == [made.config.digest]
        await house.check_at_rest()
        assert house.files() == set()


@pytest.fixture
async def locked() -> AsyncIterator[Wire]:
    with running_registry(password=True) as registry:
        registry.push("private", "1", image(seed=33))
        async with wire_to(registry.host) as wire:
            yield wire


async def test_a_private_image_without_credentials(house: House, locked: Wire) -> None:
    async with house.worker(locked.host):
        row = await house.organization().failure(f"{locked.host}/private:1")
    assert row.error_code == "REGISTRY_UNAUTHORIZED"


async def test_damaged_content_is_never_visible(house: House, scripted: ScriptedRegistry) -> None:
    made = image(seed=34)
    scripted.serve(made)
    damaged = altered(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    scripted.instead(f"/blobs/{made.layers[0].digest}", *[damaged] * 20)
    async with house.worker(scripted.host):
        row = await house.organization().failure(f"{scripted.host}/app:1")
        assert row.error_code == "DIGEST_MISMATCH"
        await house.check_at_rest()
        assert house.files() == set()


async def test_a_full_store_says_so_and_takes_what_fits(house: House, registry: Registry) -> None:
    small, large = image((50_000,), seed=35), image((200_000,), seed=36)
    registry.push("small", "1", small)
    registry.push("large", "1", large)
    mine = house.organization()
    async with house.worker(registry.host, store_limit=150_000):
        row = await mine.failure(f"{registry.host}/large:1")
        assert row.error_code == "STORE_FULL"
        assert "150000" in row.error_reason
        await mine.until(await mine.create(f"{registry.host}/small:1"), "active")
        await house.check_at_rest()


async def test_room_that_running_pulls_will_need_is_not_given_twice(
    house: House, wire: Wire, registry: Registry
) -> None:
    registry.push("first", "1", image((100_000,), seed=37))
    registry.push("second", "1", image((100_000,), seed=38))
    mine = house.organization()
    async with house.worker(wire.host, registry.host, store_limit=150_000):
        # The first has its room, but hardly a byte.
        wire.pace = 20_000
        first = await mine.create(f"{wire.host}/first:1")

        async def planned() -> bool:
            return any(pull.phase == "downloading" for pull in await house.pulls())

        await house.until(planned)
        assert (await mine.failure(f"{registry.host}/second:1")).error_code == "STORE_FULL"
        wire.pace = 0
        await mine.until(first, "active")


async def test_room_is_made_by_collecting_what_is_garbage_already(
    house: House, registry: Registry
) -> None:
    registry.push("one", "1", image((100_000,), seed=39))
    registry.push("two", "1", image((100_000,), seed=40))
    mine = house.organization()
    async with house.worker(registry.host, store_limit=150_000):
        first = await mine.create(f"{registry.host}/one:1")
        await mine.until(first, "active")
        await mine.delete(first)
        await mine.until(first, "gone")
        await mine.until(await mine.create(f"{registry.host}/two:1"), "active")


async def test_what_passes_is_tried_again(house: House, scripted: ScriptedRegistry) -> None:
    scripted.serve(image(seed=41))
    scripted.instead("/manifests/1", *[Reply(503)] * 4)
    mine = house.organization()
    async with house.worker(scripted.host):
        snapshot = await mine.create(f"{scripted.host}/app:1")
        await mine.until(snapshot, "active")
        await house.check_at_rest()
    assert len(scripted.asked("/manifests/1")) == 5


async def test_what_does_not_pass_is_final_after_some_attempts(
    house: House, scripted: ScriptedRegistry
) -> None:
    scripted.instead("/manifests/1", *[Reply(503)] * 20)
    async with house.worker(scripted.host):
        row = await house.organization().failure(f"{scripted.host}/app:1")
        assert row.error_code == "REGISTRY_ERROR"
        assert "tried 3 times" in row.error_reason
        await house.check_at_rest()


async def test_a_registry_that_asks_for_patience_gets_it_up_to_the_deadline(
    house: House, scripted: ScriptedRegistry
) -> None:
    scripted.serve(image(seed=42))
    scripted.instead("/manifests/1", Reply(429, headers={"Retry-After": "20"}))
    mine = house.organization()
    async with house.worker(scripted.host):
        snapshot = await mine.create(f"{scripted.host}/app:1")

        async def put_back() -> bool:
            return any(pull.phase == "waiting" and pull.attempt for pull in await house.pulls())

        await house.until(put_back)
        left = "SELECT extract(epoch FROM due_at - now())::float8 AS seconds FROM pulls"
        assert 15 < (await house.rows(left))[0].seconds <= 21
        assert await mine.state(snapshot) == "pulling"
    scripted.instead("/manifests/2", Reply(429, headers={"Retry-After": "3600"}))
    async with house.worker(scripted.host):
        row = await mine.failure(f"{scripted.host}/app:2")
    assert row.error_code == "REGISTRY_RATE_LIMITED"


async def test_the_deadline_ends_a_pull_that_hangs(
    house: House, scripted: ScriptedRegistry
) -> None:
    made = image(seed=43)
    scripted.serve(made)
    scripted.instead(f"/blobs/{made.layers[1].digest}", *[stalled(1000)] * 5)
    hurried = replace(QUICK, deadline=1.0)
    async with house.worker(scripted.host, policy=hurried):
        row = await house.organization().failure(f"{scripted.host}/app:1")
        assert row.error_code == "DEADLINE_EXCEEDED"
        await house.check_at_rest()


async def test_a_registry_that_falls_silent_is_given_up(
    house: House, scripted: ScriptedRegistry
) -> None:
    made = image(seed=44)
    scripted.serve(made)
    scripted.instead(f"/blobs/{made.layers[1].digest}", *[stalled(1000)] * 50)
    silence = replace(TIMEOUTS, silence=0.2)
    once = replace(QUICK, attempts=1)
    async with house.worker(scripted.host, timeouts=silence, policy=once):
        row = await house.organization().failure(f"{scripted.host}/app:1")
        assert row.error_code == "REGISTRY_TIMEOUT"
        await house.check_at_rest()


async def test_a_fault_of_ours_fails_one_pull_and_no_other(
    house: House, scripted: ScriptedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    unwritable = image(seed=45)
    scripted.serve(unwritable, "bad")
    scripted.serve(image(seed=46), "good")
    # A folder where a file should go.
    name = unwritable.layers[0].digest.removeprefix("sha256:")
    mine = house.organization()
    async with house.worker(scripted.host):
        (house.root / "blobs" / "sha256" / name / "x").mkdir(parents=True)
        bad, good = await asyncio.gather(
            mine.failure(f"{scripted.host}/app:bad"),
            mine.create(f"{scripted.host}/app:good"),
        )
        await mine.until(good, "active")
    assert bad.error_code == "INTERNAL_ERROR"
    assert str(house.root) not in bad.error_reason
    assert any("unexpected" in record.message for record in caplog.records)


async def _silent(exchange: Exchange) -> None:
    await exchange.writer.wait_closed()


async def test_a_false_size_registered_by_a_stranger_harms_nobody(
    house: House, scripted: ScriptedRegistry
) -> None:
    honest = image((60_000,), seed=47)
    scripted.serve(honest, "honest")
    lying = honest.manifest.data.replace(
        f'"size":{len(honest.layers[0].data)}'.encode(), b'"size":10'
    )
    scripted.serve_manifest(Content(honest.manifest.media_type, lying), "lying")
    liar, mine = house.organization(), house.organization()
    scripted.instead(f"/blobs/{honest.layers[0].digest}", _silent)
    async with house.worker(scripted.host):
        await liar.create(f"{scripted.host}/app:lying")

        async def pinned() -> bool:
            return any(pull.phase == "downloading" for pull in await house.pulls())

        await house.until(pinned)
        snapshot = await mine.create(f"{scripted.host}/app:honest")
        await mine.until(snapshot, "active")
        await house.garbage.sweep()
        await house.check()
        assert await mine.state(snapshot) == "active"
