"""What a builder works in, and the truth that its work is held against."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from chassis.db import connect
from chassis.listen import Wakeups
from services.snapshots.builder.builder import Builder
from services.snapshots.builder.building import Trade
from services.snapshots.builder.groups import ROOT, Limits
from services.snapshots.builder.reach import networks
from services.snapshots.builder.workshop import Workshop
from services.snapshots.domain.contexts import Contexts, NoContexts
from services.snapshots.domain.credentials import Credentials
from services.snapshots.worker.policy import Policy
from tests.integration.snapshots.worker.house import House
from tests.registry import Registry

_MIB = 1 << 20
QUICK = Policy(lease=60.0, deadline=300.0, attempts=3, first_delay=0.02, longest_delay=0.05)


@dataclass
class Shop:
    """`base`: an image with a shell in the registry."""

    house: House
    path: Path
    base: str
    trade: Trade
    # What builders in this process have built.
    names: list[str]

    @asynccontextmanager
    async def builder(
        self,
        *,
        places: int = 2,
        policy: Policy = QUICK,
        contexts: Contexts | None = None,
        credentials: Credentials | None = None,
        hosts: tuple[str, ...] = (),
        isolation: str = "chroot",
        reachable: str = "",
        limits: Limits | None = None,
        disk: int = 200 * _MIB,
        log: int = _MIB,
    ) -> AsyncIterator[Builder]:
        trade = replace(
            self.trade,
            contexts=contexts or NoContexts(),
            insecure_hosts=self.trade.insecure_hosts | set(hosts),
            isolation=isolation,
            reachable=networks(reachable),
            limits=limits or self.trade.limits,
            disk_limit=disk,
            log_limit=log,
        )
        tools = self.house.tools(policy, credentials)
        wakeups = Wakeups(self.house.url, "builder under test")
        builder = Builder(tools, wakeups, trade, places=places)
        running = asyncio.create_task(builder.run())
        try:
            yield builder
        finally:
            running.cancel()
            await asyncio.wait({running})
            assert running.cancelled() or running.exception() is None, running.exception()

    def check_nothing_left(self, *more: str) -> None:
        """Assert that no build left a folder, a mount, a process or a group behind; `more`: groups of other builders."""
        assert list((self.path / "jobs").iterdir()) == []
        assert str(self.path) not in Path("/proc/self/mountinfo").read_text()
        assert self.processes() == []
        for name in (*self.names, *more):
            for pattern in (f"ratoon-builds/{name}", f"*/ratoon-builds/{name}"):
                assert list(ROOT.glob(pattern)) == []

    def processes(self) -> list[str]:
        """Return the command lines that name the workshop."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                said = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended meanwhile
            if str(self.path) in said:
                found.append(said)
        return found


class Recorded(Workshop):
    """Remembers which builds were done in it."""

    def __init__(self, root: Path, names: list[str]) -> None:
        super().__init__(root, cache_limit=1 << 30)
        self._names = names

    @asynccontextmanager
    async def bench(self, organization_id: UUID, name: str) -> AsyncIterator[tuple[Path, Path]]:
        self._names.append(name)
        async with super().bench(organization_id, name) as folders:
            yield folders


@asynccontextmanager
async def a_shop(url: str, folder: Path, registry: Registry) -> AsyncIterator[Shop]:
    database = await connect(url, application="test", sessions=16)
    wakeups = Wakeups(url, "test")
    listening = asyncio.create_task(wakeups.run(("outbox",)))
    path = folder / "builds"
    names: list[str] = []
    trade = Trade(
        workshop=Recorded(path, names),
        contexts=NoContexts(),
        isolation="chroot",
        limits=Limits(memory=512 * _MIB, cpus=2, processes=512),
        disk_limit=200 * _MIB,
        log_limit=_MIB,
        insecure_hosts=frozenset({registry.host}),
        ca=None,
        reachable=(),
        hidden=(folder / "store",),
    )
    house = House(url, database, wakeups, folder / "store")
    yield Shop(house, path, f"{registry.host}/base:1", trade, names)
    listening.cancel()
    await asyncio.wait({listening})
    await database.close()
