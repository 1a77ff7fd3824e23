"""What the programs of a build can be made to read: its own, and nothing of what is beside it."""

from pathlib import Path
from uuid import uuid4

import pytest

from services.snapshots.builder.tree import Tree, View, environment
from tests.integration.snapshots.builder.shop import Shop


async def test_a_build_sees_its_own_folders_alone(shop: Shop) -> None:
    mine, other, store = uuid4(), uuid4(), shop.path.parent / "store"
    store.mkdir(exist_ok=True)
    (store / "blob").write_text("of somebody")
    said = bytearray()

    async def keep(data: bytes) -> None:
        said.extend(data)

    workshop = shop.trade.workshop
    async with workshop.bench(other, "other") as theirs, workshop.bench(mine, "mine") as own:
        for folder in (*theirs, *own):
            (folder / "file").write_text(folder.name)
        layers, job = own
        (job / "tmp").mkdir()
        view = View((job, layers), (store,))
        tree = Tree("views", view, shop.trade.limits, environment(job, {}))
        script = f"pwd; cat file; echo; find {shop.path} {store} ! -path '{job}/tmp' -type f; echo new > made"
        try:
            assert await tree.run(["sh", "-c", script], keep) == 0
        finally:
            await tree.fell()
        seen = said.decode().splitlines()
        assert seen[:2] == [str(job), "mine"]
        assert sorted(seen[2:]) == sorted(str(folder / "file") for folder in own)
        assert (job / "made").read_text() == "new\n"
        assert (theirs[0] / "file").exists()
    assert (store / "blob").exists()
    shop.check_nothing_left("views")


@pytest.mark.parametrize(
    "line",
    [
        "FROM {image}",
        "ARG X={image}\nFROM $X",
        "FROM {base}\nCOPY --from={image} / /got",
        "FROM {base}\nCOPY --fr\\\nom={image} / /got",
        "FROM {base}\nFR\\\nOM {image}",
        "# syntax=x\n# escape=`\nFROM {base}\nRUN true \\\nFROM {image}",
    ],
)
async def test_what_others_built_is_not_to_be_had(shop: Shop, line: str) -> None:
    """Not by who knows where it is, either."""
    theirs, mine = shop.house.organization(), shop.house.organization()
    async with shop.builder():
        built = await theirs.build(f"FROM {shop.base}\nRUN echo secret > /secret\n")
        await theirs.until(built, "active", seconds=60)
        [layers] = (shop.path / "layers").iterdir()
        for image in (
            f"containers-storage:[overlay@{layers}+{Path('/tmp/r')}]localhost/built:now",
            f"dir:{layers}",
        ):
            text = line.format(base=shop.base, image=image)
            snapshot = await mine.build(f"{text}\nRUN cat /got/secret /secret\n")
            row = await mine.until(snapshot, "active", "build_failed", seconds=60)
            assert row.state == "build_failed"
            assert row.error_code in ("DOCKERFILE_INVALID", "IMAGE_INVALID"), row.error_reason
            assert "secret\n" not in (await mine.log(snapshot)).replace("/secret\n", "")
    shop.check_nothing_left()
