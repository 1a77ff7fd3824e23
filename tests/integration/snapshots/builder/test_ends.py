"""Builds that nobody wants any more, and builders that end: nothing goes on, nothing is left, what is wanted is done."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chassis.sealing import Keys
from services.snapshots.builder.possible import ISOLATIONS
from tests.identities import Keyring
from tests.integration.snapshots.builder.shop import Shop
from tests.integration.snapshots.worker.brake import Point, braked
from tests.integration.snapshots.worker.house import Organization
from tests.integration.snapshots.worker.process import Office, an_office


async def _until_said(shop: Shop, mine: Organization, snapshot: object, words: str) -> None:
    async def said() -> bool:
        return words in await mine.log(snapshot)  # type: ignore[arg-type]  # an id

    await shop.house.until(said, seconds=60)


async def _until_nothing_runs(shop: Shop) -> None:
    async def nothing() -> bool:
        return not shop.processes() and not list((shop.path / "jobs").iterdir())

    await shop.house.until(nothing, seconds=20)


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_what_is_deleted_or_deactivated_stops_being_built(shop: Shop, isolation: str) -> None:
    mine = shop.house.organization()
    async with shop.builder(isolation=isolation), shop.house.worker():
        for end in (mine.delete, mine.deactivate):
            snapshot = await mine.build(f"FROM {shop.base}\nRUN echo begun; sleep 999\n")
            await _until_said(shop, mine, snapshot, "\nbegun\n")
            assert shop.processes()
            await end(snapshot)
            await _until_nothing_runs(shop)
        # What was stopped can be had again.
        assert await mine.state(snapshot) == "inactive"
        await mine.activate(snapshot)
        await _until_said(shop, mine, snapshot, "\nbegun\n")
        await mine.delete(snapshot)
        await mine.until(snapshot, "gone")
        await _until_nothing_runs(shop)
    shop.check_nothing_left()
    await shop.house.check_at_rest()


async def test_a_shared_build_goes_on_for_who_still_waits(shop: Shop) -> None:
    mine = shop.house.organization()
    text = f"FROM {shop.base}\nRUN echo begun; sleep 2\n"
    async with shop.builder():
        leaving, staying = await mine.build(text), await mine.build(text)
        await _until_said(shop, mine, staying, "\nbegun\n")
        await mine.deactivate(leaving)
        await mine.until(staying, "active", seconds=60)
    assert await mine.state(leaving) == "inactive"


@asynccontextmanager
async def _builder_process(
    shop: Shop, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.snapshots", "build"), env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment(shop: Shop, keyring: Keyring, office: Office, lease: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SNAPSHOTS_DATABASE_URL": shop.house.url,
        "SNAPSHOTS_IDENTITY_FILE": str(keyring.folder / "identity-snapshots.pem"),
        "SNAPSHOTS_ORGS_TARGET": f"unix:{office.folder}/o",
        "SNAPSHOTS_STORE_PATH": str(shop.house.root),
        "SNAPSHOTS_BUILD_PATH": str(shop.path),
        "SNAPSHOTS_BUILD_ISOLATION": "chroot",
        "SNAPSHOTS_TRUSTED_DOCKERFILES": "true",
        "SNAPSHOTS_INSECURE_REGISTRIES": ",".join(shop.trade.insecure_hosts),
        "SNAPSHOTS_WORKER_LEASE_SECONDS": lease,
        "SNAPSHOTS_ENCRYPTION_KEYS": Keys("", {}).renewed().dump(),
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }


# Given back, the work goes on at once; otherwise when the lease ends.
@pytest.mark.parametrize(("how", "lease"), [(signal.SIGKILL, "5"), (signal.SIGTERM, "600")])
async def test_a_builder_that_ends_leaves_nothing_and_another_goes_on(
    shop: Shop, keyring: Keyring, how: signal.Signals, lease: str
) -> None:
    mine = shop.house.organization()
    async with an_office(shop.house, keyring) as office:
        environment = _environment(shop, keyring, office, lease)
        text = f"FROM {shop.base}\nRUN echo first\nRUN echo begun; (sleep 99 &); sleep 3\n"
        snapshot = await mine.build(text)
        [pull] = await shop.house.pulls()
        async with _builder_process(shop, environment) as first:
            await _until_said(shop, mine, snapshot, "\nbegun\n")
            first.send_signal(how)
            await first.wait()

            async def quiet() -> bool:
                return not shop.processes()

            await shop.house.until(quiet, seconds=20)
        assert str(shop.path) not in Path("/proc/self/mountinfo").read_text()
        environment["SNAPSHOTS_WORKER_LEASE_SECONDS"] = "600"
        async with _builder_process(shop, environment) as second:
            await mine.until(snapshot, "active", seconds=120)
            second.terminate()
            assert await second.wait() == 0
    log = await mine.log(snapshot)
    assert log.count("\nfirst\n") == 1, "the steps that were done are kept"
    assert "[the build begins again: attempt " in log
    shop.check_nothing_left(f"{pull.id.hex}-*")
    await shop.house.check_at_rest()


@pytest.mark.parametrize("arrives", [True, False], ids=["it arrives", "it is lost"])
@pytest.mark.parametrize(
    "point",
    [
        Point("UPDATE", "pulls", "NEW.running AND NOT OLD.running"),
        Point("INSERT", "blobs"),
        Point("INSERT", "artifacts"),
    ],
    ids=["claimed", "its room is kept", "stored"],
)
async def test_a_builder_is_killed_at_a_commit(
    shop: Shop, keyring: Keyring, point: Point, arrives: bool
) -> None:
    mine = shop.house.organization()
    async with an_office(shop.house, keyring) as office:
        environment = _environment(shop, keyring, office, "2")
        snapshot = await mine.build(f"FROM {shop.base}\nRUN echo done > /done\n")
        [pull] = await shop.house.pulls()
        async with braked(shop.house.url, point, "snapshots builder") as brake:
            async with _builder_process(shop, environment) as first:
                await brake.reached(seconds=60)
                first.kill()
                await first.wait()
            if not arrives:
                await brake.lose()
        await shop.house.check()
        async with shop.builder(isolation="chroot"):
            await mine.until(snapshot, "active", seconds=60)
            await _until_nothing_runs(shop)
    shop.check_nothing_left(f"{pull.id.hex}-*")
    await shop.house.check_at_rest()
