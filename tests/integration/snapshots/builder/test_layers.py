"""What a build made is stored once: layers that the store has of the organization are named, not packed again."""

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.snapshots.builder import output
from services.snapshots.builder.archives import Archives
from services.snapshots.builder.packing import Packed, pack
from tests.integration.snapshots.builder.shop import Shop


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many layers each packing had to do with."""
    counts: list[int] = []

    async def counted(
        archives: Archives, diff_ids: list[str], folder: Path, *, at_once: int
    ) -> dict[str, Packed]:
        counts.append(len(diff_ids))
        return await pack(archives, diff_ids, folder, at_once=at_once)

    monkeypatch.setattr(output, "pack", counted)
    return counts


async def _manifest(shop: Shop, snapshot: UUID) -> Any:
    [row] = await shop.house.rows(
        "SELECT a.manifest_digest FROM snapshots AS s JOIN artifacts AS a ON a.id = s.artifact_id"
        " WHERE s.id = :id",
        id=snapshot,
    )
    return json.loads(await shop.house.store.read(row.manifest_digest, limit=1 << 20))


async def test_known_layers_are_named_and_only_new_ones_packed(
    shop: Shop, packed: list[int]
) -> None:
    mine = shop.house.organization()
    text = f"FROM {shop.base}\nRUN echo one > /one\n"
    async with shop.builder():
        first = await mine.build(text)
        await mine.until(first, "active", seconds=60)
        same = await mine.build(text + "# said otherwise\n")
        await mine.until(same, "active", seconds=60)
        more = await mine.build(text + "RUN echo two > /two\n")
        await mine.until(more, "active", seconds=60)
    # The base, while its first step is done, and each step's own once.
    assert packed == [1, 1, 1]
    layers = [(await _manifest(shop, s))["layers"] for s in (first, same, more)]
    assert layers[0] == layers[1] == layers[2][:-1]
    await shop.house.check_at_rest()
    shop.check_nothing_left()


async def test_what_left_the_store_is_packed_again_and_is_the_same(
    shop: Shop, packed: list[int]
) -> None:
    mine = shop.house.organization()
    text = f"FROM {shop.base}\nRUN echo one > /one\n"
    async with shop.builder():
        first = await mine.build(text)
        await mine.until(first, "active", seconds=60)
        before = (await _manifest(shop, first))["layers"]
        await mine.delete(first)
        async with shop.house.worker():
            await mine.until(first, "gone")
        await shop.house.check_at_rest()
        assert shop.house.files() == set()
        again = await mine.build(text)
        await mine.until(again, "active", seconds=60)
    assert packed == [1, 1, 1, 1]
    assert (await _manifest(shop, again))["layers"] == before
    await shop.house.check_at_rest()


async def test_a_file_that_is_gone_by_mistake_is_not_named(shop: Shop) -> None:
    """The store says what it holds; rows alone are not believed when an image is made of them."""
    mine = shop.house.organization()
    text = f"FROM {shop.base}\nRUN echo one > /one\n"
    async with shop.builder():
        first = await mine.build(text)
        await mine.until(first, "active", seconds=60)
        lost = (await _manifest(shop, first))["layers"][-1]
        await shop.house.store.remove(lost["digest"])
        second = await mine.build(text + "# again\n")
        row = await mine.until(second, "active", "build_failed", seconds=60)
    assert row.state == "active"
    assert await shop.house.store.has(lost["digest"]) == lost["size"]


async def test_another_organization_packs_for_itself(shop: Shop, packed: list[int]) -> None:
    text = f"FROM {shop.base}\nRUN echo one > /one\n"
    async with shop.builder():
        for mine in (shop.house.organization(), shop.house.organization()):
            # Even if it had what the other's builds remember.
            known = list((shop.path / "layers").glob("*/packed.json"))
            own = shop.path / "layers" / mine.id.hex
            own.mkdir()
            for file in known:
                shutil.copy(file, own)
            await mine.until(await mine.build(text), "active", seconds=60)
    assert packed == [1, 1, 1, 1]


async def test_what_only_an_earlier_stage_starts_from_is_not_stored(shop: Shop) -> None:
    mine = shop.house.organization()
    text = f"FROM {shop.base} AS first\nRUN echo one > /one\nFROM scratch\nCOPY --from=first /one /one\n"
    async with shop.builder():
        made = await mine.build(text)
        await mine.until(made, "active", seconds=60)
    assert len((await _manifest(shop, made))["layers"]) == 1
    await shop.house.check_at_rest()
    shop.check_nothing_left()
