"""An image becomes an active snapshot, once for everybody who asked."""

import asyncio

from tests.images import image, index
from tests.integration.snapshots.worker.house import House
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry


async def test_an_image_becomes_an_active_snapshot(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image(seed=11, config={"Entrypoint": ["/bin/app", "-v"], "Env": ["A=1"]})
    digest = registry.push("app", "1", made)
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await mine.create(f"{wire.host}/app:1")
        row = await mine.until(snapshot, "active")
        assert row.ref == f"{wire.host}/app@{digest}"
        assert row.size_bytes == made.size
        assert row.entrypoint == ["/bin/app", "-v"]
        assert row.last_used_at is not None
        config = (await house.rows("SELECT config FROM artifacts"))[0].config
        assert config["env"] == ["A=1"]
        await house.check_at_rest()
        assert house.files() == {digest, *(blob.digest for blob in made.blobs)}


async def test_states_are_announced_in_their_order(house: House, registry: Registry) -> None:
    registry.push("order", "1", image(seed=12))
    mine = house.organization()
    async with house.worker(registry.host):
        await mine.until(await mine.create(f"{registry.host}/order:1"), "active")
    events = await house.rows(
        "SELECT payload FROM outbox WHERE type = 'snapshot_state_changed' ORDER BY id"
    )
    assert [(e.payload["old_state"], e.payload["new_state"]) for e in events] == [
        ("pending", "pulling"),
        ("pulling", "active"),
    ]


async def test_concurrent_requests_of_one_organization_download_once(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image(seed=13)
    registry.push("once", "1", made)
    mine = house.organization()
    async with house.worker(wire.host), house.worker(wire.host):
        snapshots = await asyncio.gather(*(mine.create(f"{wire.host}/once:1") for _ in range(10)))
        for snapshot in snapshots:
            await mine.until(snapshot, "active")
        assert sorted(wire.blobs_asked()) == sorted(blob.digest for blob in made.blobs)
        assert len(await house.rows("SELECT * FROM artifacts")) == 1
        await house.check_at_rest()


async def test_who_comes_while_it_is_on_its_way_shares_it(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image(seed=14)
    registry.push("late", "1", made)
    mine = house.organization()
    wire.open.clear()
    async with house.worker(wire.host):
        first = await mine.create(f"{wire.host}/late:1")
        await mine.until(first, "pulling")
        second = await mine.create(f"{wire.host}/late:1")
        await mine.until(second, "pulling")
        wire.open.set()
        await mine.until(first, "active")
        await mine.until(second, "active")
    assert sorted(wire.blobs_asked()) == sorted(blob.digest for blob in made.blobs)


async def test_two_organizations_each_download_and_store_once(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image(seed=15)
    registry.push("both", "1", made)
    mine, theirs = house.organization(), house.organization()
    async with house.worker(wire.host):
        ours = await mine.create(f"{wire.host}/both:1"), await theirs.create(f"{wire.host}/both:1")
        await mine.until(ours[0], "active")
        await theirs.until(ours[1], "active")
        asked = sorted(blob.digest for blob in made.blobs) * 2
        assert sorted(wire.blobs_asked()) == sorted(asked)
        await house.check_at_rest()
        assert len(house.files()) == len(made.blobs) + 1


async def test_layers_that_the_organization_has_are_not_fetched_again(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image((50_000, 60_000), seed=16)
    again = image((50_000, 60_000), seed=16, config={"Cmd": ["/bin/other"]})
    registry.push("base", "1", made)
    registry.push("base", "2", again)
    mine, theirs = house.organization(), house.organization()
    async with house.worker(wire.host):
        await mine.until(await mine.create(f"{wire.host}/base:1"), "active")
        wire.asked.clear()
        await mine.until(await mine.create(f"{wire.host}/base:2"), "active")
        assert wire.blobs_asked() == [again.config.digest]
        await theirs.until(await theirs.create(f"{wire.host}/base:2"), "active")
        assert {layer.digest for layer in made.layers} <= set(wire.blobs_asked())


async def test_an_index_is_remembered_by_its_digest(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image(seed=17)
    registry.push("multi", "amd64", made)
    several = index([(made.manifest, {"os": "linux", "architecture": "amd64"})])
    digest = registry.push_manifest("multi", "1", several)
    mine = house.organization()
    async with house.worker(wire.host):
        row = await mine.until(await mine.create(f"{wire.host}/multi@{digest}"), "active")
    assert row.ref.endswith(made.manifest.digest)
    names = {row.digest for row in await house.rows("SELECT digest FROM artifact_digests")}
    assert names == {digest, made.manifest.digest}


async def test_what_left_the_store_comes_again_by_its_digest_whatever_the_tag_names_today(
    house: House, wire: Wire, registry: Registry
) -> None:
    old = registry.push("moved", "1", image(seed=18))
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await mine.create(f"{wire.host}/moved:1")
        await mine.until(snapshot, "active")
        registry.push("moved", "1", image(seed=19))
        await house.store.remove(image(seed=18).layers[0].digest)
        await house.garbage.sweep()
        assert await mine.state(snapshot) == "inactive"
        await house.check()
        await mine.activate(snapshot)
        row = await mine.until(snapshot, "active")
        assert row.ref == f"{wire.host}/moved@{old}"
        await house.check_at_rest()


async def test_progress_can_be_seen_and_comes_no_finer_than_needed(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image((3_000_000,), seed=20)
    registry.push("slow", "1", made)
    mine = house.organization()
    wire.pace = 1_500_000
    seen: list[tuple[str, int, int]] = []
    async with house.worker(wire.host):
        snapshot = await mine.create(f"{wire.host}/slow:1")

        async def done() -> bool:
            for pull in await house.pulls():
                now = (pull.phase, pull.bytes_done, pull.bytes_total)
                if now not in seen:
                    seen.append(now)
            return await mine.state(snapshot) == "active"

        await house.until(done)
    downloading = [(done, total) for phase, done, total in seen if phase == "downloading"]
    assert 2 <= len(downloading) <= 6
    assert downloading == sorted(downloading)
    assert {total for _, total in downloading} == {made.size}
