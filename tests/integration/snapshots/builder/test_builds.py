"""From a Dockerfile to a snapshot, by the real tools."""

import asyncio
import json

import pytest

from services.snapshots.builder.possible import ISOLATIONS
from tests.integration.snapshots.builder.shop import Shop


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_dockerfile_becomes_a_snapshot(shop: Shop, isolation: str) -> None:
    mine = shop.house.organization()
    text = f"""\
# syntax is ours
ARG BASE={shop.base}
FROM $BASE AS first
RUN echo made > /tmp/made
RUN chown 12:34 /tmp/made && chmod 4755 /tmp/made && ln -s made /tmp/link && rm -r /bin/vi
RUN ls -ln /tmp/link /tmp/made; ls /bin/vi || echo vi is gone
from {shop.base}
COPY --from=first /tmp/made /made
RUN cat /made && \\
    echo kernel $(uname -r)
# ENTRYPOINT ["no"]
ENTRYPOINT ["sh", \\
  "-c", "exit"]
"""
    async with shop.builder(isolation=isolation):
        snapshot = await mine.build(text)
        assert await mine.state(snapshot) == "building"
        row = await mine.until(snapshot, "active", "build_failed", seconds=60)
        log = await mine.log(snapshot)
        assert row.state == "active", log
    assert row.entrypoint == ["sh", "-c", "exit"]
    assert row.ref.startswith("daytona-")
    assert row.size_bytes > 0
    assert "\nmade\n" in log
    assert "-rwsr-xr-x    1 12       34" in log
    assert "link -> made" in log
    assert "vi is gone" in log
    # Its kernel is its own, or the machine's.
    assert ("kernel 4.4.0" in log) == (isolation == "gvisor")
    await shop.house.check_at_rest()
    await _check_history(shop)
    shop.check_nothing_left()


async def _check_history(shop: Shop) -> None:
    """Assert that the image has one entry of its history for each layer: whoever builds on it needs that."""
    [row] = await shop.house.rows("SELECT manifest_digest FROM artifacts")
    store = shop.house.store
    manifest = json.loads(await store.read(row.manifest_digest, limit=1 << 20))
    config = json.loads(await store.read(manifest["config"]["digest"], limit=1 << 20))
    full = [entry for entry in config["history"] if not entry.get("empty_layer")]
    assert len(full) == len(manifest["layers"]) == len(config["rootfs"]["diff_ids"])


async def test_what_a_sandbox_runs_is_said_by_the_image_or_is_nothing_much(shop: Shop) -> None:
    mine = shop.house.organization()
    said = {
        "": ["sleep", "infinity"],
        'ENTRYPOINT echo "a b"': ["/bin/sh", "-c", 'echo "a b"'],
        'ENTRYPOINT ["a"]\nENTRYPOINT ["b"]\n#ENTRYPOINT ["c"]': ["b"],
    }
    async with shop.builder():
        for lines, expected in said.items():
            row = await mine.until(
                await mine.build(f"FROM {shop.base}\n{lines}\n"), "active", seconds=60
            )
            assert row.entrypoint == expected


async def test_the_same_is_built_once_for_an_organization_and_never_shared_by_two(
    shop: Shop,
) -> None:
    mine, theirs = shop.house.organization(), shop.house.organization()
    text = f"FROM {shop.base}\nRUN echo once; cat /proc/sys/kernel/random/uuid > /who\n"
    first, second, other = await asyncio.gather(
        mine.build(text), mine.build(text), theirs.build(text)
    )
    assert len(await shop.house.rows("SELECT id FROM builds")) == 2
    async with shop.builder():
        rows = [await mine.until(id_, "active", seconds=60) for id_ in (first, second)]
        foreign = await theirs.until(other, "active", seconds=60)
    assert rows[0].artifact_id == rows[1].artifact_id != foreign.artifact_id
    assert rows[0].ref == rows[1].ref != foreign.ref
    assert await mine.log(first) == await mine.log(second)
    # What was built is there at once, without anybody who builds.
    third = await mine.build(text)
    assert await mine.state(third) == "active"
    [row] = await shop.house.rows("SELECT * FROM snapshots WHERE id = :id", id=third)
    assert (row.ref, row.size_bytes, row.entrypoint) == (
        rows[0].ref,
        rows[0].size_bytes,
        ["sleep", "infinity"],
    )
    assert await mine.log(third) == await mine.log(first)
    # Without its last snapshot nothing of it is left.
    async with shop.house.worker():
        for id_ in (first, second, third):
            await mine.delete(id_)
        await theirs.delete(other)
        for organization, id_ in ((mine, first), (mine, third), (theirs, other)):
            await organization.until(id_, "gone")
        await mine.until(second, "gone")
    assert await shop.house.rows("SELECT id FROM builds") == []
    assert await shop.house.rows("SELECT at FROM build_logs") == []
    await shop.house.check_at_rest()
