"""How builds fail: with a word that stays, a reason that helps, and nothing left behind."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.snapshots.builder.groups import Limits
from services.snapshots.builder.possible import ISOLATIONS
from services.snapshots.domain.contexts import ContextInvalid, ContextMissing
from services.snapshots.domain.credentials import Credential
from tests.bases import a_base
from tests.images import image
from tests.integration.snapshots.builder.shop import QUICK, Shop
from tests.registry import PASSWORD, USER, Registry, running_registry

_MIB = 1 << 20


class Uploads:
    """Contexts by digest; None: what was uploaded is no archive."""

    def __init__(self, **files: str | None) -> None:
        self._files = files

    async def unpack(self, organization_id: UUID, digest: str, folder: Path) -> str:
        if digest not in self._files:
            raise ContextMissing(digest)
        text = self._files[digest]
        if text is None:
            raise ContextInvalid(digest, "it is no archive")
        (folder / f"{digest}.txt").write_text(text)
        return ""


class Key:
    """The credential for one registry; remembers for which images somebody asked."""

    def __init__(self, host: str) -> None:
        self._host, self.asked = host, list[str]()

    async def of(self, organization_id: UUID, image_ref: str) -> Credential | None:
        self.asked.append(image_ref)
        named = image_ref.startswith(self._host)
        return Credential(self._host, USER, PASSWORD) if named else None


async def _failure(shop: Shop, text: str, *hashes: str, **builder: Any) -> Any:
    """Return the row of a build that fails, and its log."""
    mine = shop.house.organization()
    async with shop.builder(**builder):
        snapshot = await mine.build(text, *hashes)
        row = await mine.until(snapshot, "active", "build_failed", seconds=60)
    log = await mine.log(snapshot)
    assert row.state == "build_failed", log
    assert row.error_remedy.endswith(".")
    assert row.error_code in log
    shop.check_nothing_left()
    await shop.house.check_at_rest()
    [build] = await shop.house.rows("SELECT state FROM builds")
    assert build.state == "failed"
    return row


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_step_that_fails_is_named_with_its_exit_code(shop: Shop, isolation: str) -> None:
    text = f"FROM {shop.base}\nRUN true\nRUN echo before; exit 7\nRUN echo after\n"
    row = await _failure(shop, text, isolation=isolation)
    assert row.error_code == "BUILD_STEP_FAILED"
    assert row.error_reason == "the step `RUN echo before; exit 7` ended with exit code 7"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FROM {base}\nRUM echo\n", "DOCKERFILE_INVALID"),
        ("RUN echo\n", "DOCKERFILE_INVALID"),
        ("# nothing\n", "DOCKERFILE_INVALID"),
        ("FROM {base}\nCOPY nothing /\n", "BUILD_STEP_FAILED"),
        ("FROM {base}x\n", "IMAGE_NOT_FOUND"),
        ("FROM {base}\nCOPY --from={base}x / /\n", "IMAGE_NOT_FOUND"),
        ("FROM No/Such:Thing\n", "IMAGE_INVALID"),
    ],
)
async def test_what_cannot_be_built(shop: Shop, text: str, code: str) -> None:
    row = await _failure(shop, text.format(base=shop.base))
    assert row.error_code == code, row.error_reason


async def test_no_mounts_for_whom_nobody_trusts(shop: Shop, registry: Registry) -> None:
    """Not even those that a base asks for."""
    wish = "RUN --mount=type=bind,target=/x true"
    config = {"Env": ["PATH=/bin"], "OnBuild": [wish]}
    registry.push("triggering", "1", image((1000,), docker=True, config=config))
    for text in (f"FROM {shop.base}\n{wish}\n", f"FROM {registry.host}/triggering:1\n"):
        mine = shop.house.organization()
        async with shop.builder(isolation="gvisor"):
            row = await mine.until(await mine.build(text), "active", "build_failed", seconds=60)
        assert (row.state, row.error_code) == ("build_failed", "DOCKERFILE_INVALID")
        assert "--mount" in row.error_reason


async def test_an_image_larger_than_the_organization_may_have(shop: Shop) -> None:
    shop.house.largest = 0
    row = await _failure(shop, f"FROM {shop.base}\n")
    assert row.error_code == "IMAGE_TOO_LARGE"
    assert row.size_bytes > 0


async def test_contexts_that_are_missing_or_damaged_are_named(shop: Shop) -> None:
    text = f"FROM {shop.base}\nCOPY . /\n"
    row = await _failure(shop, text, "here", "lost", contexts=Uploads(here="x"))
    assert row.error_code == "CONTEXT_MISSING"
    assert "lost" in row.error_reason


async def test_a_context_that_is_no_archive(shop: Shop) -> None:
    row = await _failure(shop, f"FROM {shop.base}\n", "bad", contexts=Uploads(bad=None))
    assert row.error_code == "CONTEXT_INVALID"
    assert "bad cannot be used: it is no archive" in row.error_reason


async def test_contexts_are_copied_from(shop: Shop) -> None:
    mine = shop.house.organization()
    async with shop.builder(contexts=Uploads(one="first", two="second")):
        text = f"FROM {shop.base}\nCOPY . /files\nRUN cat /files/one.txt /files/two.txt\n"
        snapshot = await mine.build(text, "one", "two")
        await mine.until(snapshot, "active", seconds=60)
    assert "firstsecond" in await mine.log(snapshot)


async def test_only_registries_that_from_names_see_credentials(shop: Shop) -> None:
    mine = shop.house.organization()
    with running_registry(password=True) as private:
        private.push("base", "2", a_base())
        key, image = Key(private.host), f"{private.host}/base:2"
        async with shop.builder(credentials=key, hosts=(private.host,)):
            text = f"FROM {image}\nRUN ! grep -r {PASSWORD.split()[0]} /proc/*/environ /tmp\n"
            snapshot = await mine.build(text)
            row = await mine.until(snapshot, "active", "build_failed", seconds=60)
            assert row.state == "active", await mine.log(snapshot)
            refused = await mine.build(f"FROM {shop.base}\nCOPY --from={image} /bin /there\n")
            row = await mine.until(refused, "active", "build_failed", seconds=60)
    assert row.error_code == "REGISTRY_UNAUTHORIZED"
    assert key.asked == [image, shop.base]


async def test_a_build_ends_with_its_deadline(shop: Shop) -> None:
    text = f"FROM {shop.base}\nRUN (setsid sleep 999 &) ; sleep 999\n"
    row = await _failure(shop, text, policy=replace(QUICK, deadline=4.0))
    assert row.error_code == "DEADLINE_EXCEEDED"


async def test_a_build_has_no_more_memory_than_it_may_have(shop: Shop) -> None:
    text = f"FROM {shop.base}\nRUN dd if=/dev/zero of=/dev/null bs=300M count=1\n"
    limits = Limits(memory=128 * _MIB, cpus=2, processes=512)
    row = await _failure(shop, text, limits=limits)
    assert row.error_code == "BUILD_OUT_OF_MEMORY"


@pytest.mark.parametrize("volume", ["", "VOLUME /data\n"])
async def test_a_build_writes_no_more_than_it_may(shop: Shop, volume: str) -> None:
    text = f"FROM {shop.base}\n{volume}RUN mkdir -p /data && dd if=/dev/zero of=/data/big bs=1M count=60; sleep 99\n"
    row = await _failure(shop, text, disk=30 * _MIB)
    assert row.error_code == "BUILD_DISK_EXCEEDED"


async def test_a_log_is_kept_up_to_its_limit(shop: Shop) -> None:
    mine = shop.house.organization()
    async with shop.builder(log=20_000):
        snapshot = await mine.build(f"FROM {shop.base}\nRUN yes | head -c 2000000\n")
        await mine.until(snapshot, "active", seconds=60)
    log = await mine.log(snapshot)
    assert 20_000 < len(log) < 20_200
    assert log.endswith("what follows is not kept]\n")
