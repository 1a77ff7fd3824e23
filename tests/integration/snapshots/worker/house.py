"""What a worker works in: a database and a store; snapshots are asked for, waited for, and held against the truth."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.listen import Wakeups
from services.snapshots.commands import lifecycle, versions
from services.snapshots.commands.create import create
from services.snapshots.domain import (
    CONSUMING,
    Busy,
    Draft,
    Limits,
    Maxima,
    Region,
    Resources,
    State,
    Wish,
    pinned,
    recipe,
)
from services.snapshots.domain.credentials import Anonymous, Credentials
from services.snapshots.images.http import Http, Timeouts
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.store.partials import lock_now
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.outages import steadily
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.room import Room
from services.snapshots.worker.tools import Tools
from services.snapshots.worker.worker import Worker

_MAXIMA = Maxima(4, 8, 10)
LIMITS = Limits(
    organization_id="",
    revision=0,
    snapshot_quota=100,
    max_snapshot_size=10,
    maxima=_MAXIMA,
    default_region_id="eu",
    regions={"eu": Region(True, True, _MAXIMA)},
    suspension=None,
)
QUICK = Policy(lease=3.0, deadline=60.0, attempts=3, first_delay=0.02, longest_delay=0.05)
TIMEOUTS = Timeouts(connect=5, silence=5, document=5, pace_window=5, slowest_pace=16)


@dataclass
class House:
    """`largest` is every organization's limit, in GiB."""

    url: str
    database: Database
    wakeups: Wakeups
    root: Path
    largest: int = 10
    store: OciLayoutStore = field(init=False)
    garbage: Garbage = field(init=False)

    def __post_init__(self) -> None:
        self.store = OciLayoutStore(self.root)
        self.garbage = Garbage(self.database.sessions, self.store)

    def organization(self) -> "Organization":
        return Organization(self, uuid4())

    def tools(
        self, policy: Policy, credentials: Credentials | None = None, store_limit: int | None = None
    ) -> Tools:
        """Without `credentials` everything is pulled as anybody; without a limit the store has the disk."""

        async def largest(_organization_id: UUID) -> int:
            return self.largest

        return Tools(
            sessions=self.database.sessions,
            store=self.store,
            room=Room(self.store, store_limit),
            garbage=self.garbage,
            largest_image=largest,
            policy=policy,
            credentials=credentials or Anonymous(),
        )

    @asynccontextmanager
    async def worker(
        self,
        *hosts: str,
        places: int = 4,
        policy: Policy = QUICK,
        store_limit: int | None = None,
        timeouts: Timeouts = TIMEOUTS,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[Worker]:
        tools = self.tools(policy, credentials, store_limit)
        async with Http(insecure_hosts=frozenset(hosts), timeouts=timeouts) as http:
            wakeups = Wakeups(self.url, "worker under test")
            worker = Worker(tools, wakeups, http, places=places)
            running = asyncio.create_task(worker.run())
            try:
                yield worker
            finally:
                running.cancel()
                await asyncio.wait({running})
                assert running.cancelled() or running.exception() is None, running.exception()

    async def rows(self, statement: str, **bound: Any) -> list[Any]:
        async def read() -> list[Any]:
            async with self.database.sessions.begin() as session:
                return list((await session.execute(text(statement), bound)).all())

        return await steadily(read)

    async def until(self, true: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
        """Wait for something to be so; looks whenever anything is announced, and now and then."""
        async with asyncio.timeout(seconds):
            with self.wakeups.on("outbox") as woken:
                while not await true():
                    woken.clear()
                    try:
                        await asyncio.wait_for(woken.wait(), 0.05)
                    except TimeoutError:
                        continue  # progress is not announced: look anyway

    async def pulls(self) -> list[Any]:
        return await self.rows("SELECT * FROM pulls ORDER BY created_at")

    def files(self) -> set[str]:
        return {f"sha256:{path.name}" for path in (self.root / "blobs" / "sha256").iterdir()}

    def partials(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in (self.root / "partial").iterdir()}

    async def check(self) -> None:
        """Assert what must be true at every moment."""
        await self._check_usage()
        for row in await self.rows(
            "SELECT s.*, a.stored, a.manifest_digest FROM snapshots AS s LEFT JOIN artifacts AS a ON a.id = s.artifact_id"
        ):
            state = State(row.state)
            assert (row.pull_id is not None) == (
                state in (State.PENDING, State.PULLING, State.BUILDING)
            ), row
            assert (row.error_code != "") == (state in (State.ERROR, State.BUILD_FAILED)), row
            if state == State.ACTIVE:
                assert row.stored, row
                assert row.size_bytes is not None, row
                assert row.ref.endswith("@" + row.manifest_digest), row
        for row in await self.rows(
            "SELECT DISTINCT b.digest, b.size FROM snapshots AS s JOIN artifact_blobs AS n USING (artifact_id)"
            " JOIN blobs AS b USING (digest) WHERE s.state = 'active'"
        ):
            assert await self.store.verify(row.digest), row.digest
            assert await self.store.has(row.digest) == row.size, row.digest

    async def check_at_rest(self) -> None:
        """Assert that nothing is left over, when no work is under way and the garbage is out."""
        assert await self.pulls() == []
        await self.garbage.sweep()
        await self.check()
        needed = {
            row.digest for row in await self.rows("SELECT DISTINCT digest FROM artifact_blobs")
        }
        known = {row.digest for row in await self.rows("SELECT digest FROM blobs")}
        assert self.files() == needed == known
        assert await self.rows("SELECT * FROM garbage") == []

    async def _check_usage(self) -> None:
        consuming = [state.value for state in CONSUMING]
        for row in await self.rows(
            "SELECT u.*, (SELECT count(*) FROM snapshots AS s WHERE s.organization_id = u.organization_id"
            " AND s.state = ANY(:consuming)) AS counted, (SELECT count(*) FROM snapshots AS s"
            " WHERE s.organization_id = u.organization_id AND NOT general) AS own FROM usage AS u",
            consuming=consuming,
        ):
            assert (row.used, row.total) == (row.counted, row.own), row


@dataclass
class Organization:
    house: House
    id: UUID

    async def create(self, image: str) -> UUID:
        """Ask for a snapshot of an image, as the server does."""
        digest, resources = pinned(image), Resources(1, 0, 1, 3)
        draft = Draft(f"s-{uuid4()}", image, digest, None, resources, "eu")
        async with self.house.database.pool.acquire() as connection:
            made, _ = await create(connection, self.id, draft, quota=100, revision=0)
            await connection.execute("SELECT pg_notify('outbox', ''), pg_notify('work', '')")
        return made

    async def build(self, dockerfile: str, *hashes: str) -> UUID:
        """Ask for a snapshot of a Dockerfile, as the server does."""
        resources, asked = Resources(1, 0, 1, 3), recipe(dockerfile, hashes)
        draft = Draft(f"s-{uuid4()}", "", "", None, resources, "eu", asked)
        async with self.house.database.pool.acquire() as connection:
            made, _ = await create(connection, self.id, draft, quota=100, revision=0)
            await connection.execute("SELECT pg_notify('outbox', ''), pg_notify('work', '')")
        return made

    async def log(self, snapshot: UUID) -> str:
        rows = await self.house.rows(
            "SELECT l.data FROM snapshots AS s JOIN build_logs AS l USING (build_id) WHERE s.id = :id ORDER BY l.at",
            id=snapshot,
        )
        return b"".join(row.data for row in rows).decode()

    async def deactivate(self, snapshot: UUID) -> None:
        await self._do(lambda session: lifecycle.deactivate(session, self.id, str(snapshot)))

    async def activate(self, snapshot: UUID) -> None:
        await self._do(
            lambda session: lifecycle.activate(
                session, self.id, str(snapshot), LIMITS, time.time(), no_builder=""
            )
        )

    async def set_image(self, snapshot: UUID, image: str) -> None:
        wish = Wish(image, pinned(image))
        await self._do(
            lambda session: versions.set_image(
                session, self.id, str(snapshot), wish, LIMITS, time.time()
            )
        )

    async def roll_back(self, snapshot: UUID, number: int) -> None:
        await self._do(
            lambda session: versions.roll_back(
                session, self.id, str(snapshot), number, LIMITS, time.time(), no_builder=""
            )
        )

    async def until_version(self, snapshot: UUID, number: int, seconds: float = 20) -> Any:
        """Wait until the snapshot stands for a version, and return the row."""
        statement = "SELECT * FROM snapshots WHERE id = :id AND version = :number"

        async def reached() -> bool:
            return bool(await self.house.rows(statement, id=snapshot, number=number))

        await self.house.until(reached, seconds)
        return (await self.house.rows(statement, id=snapshot, number=number))[0]

    async def delete(self, snapshot: UUID) -> None:
        await self._do(lambda session: lifecycle.delete(session, self.id, str(snapshot)))

    async def state(self, snapshot: UUID) -> str:
        rows = await self.house.rows("SELECT state FROM snapshots WHERE id = :id", id=snapshot)
        return rows[0].state if rows else "gone"

    async def until(self, snapshot: UUID, *states: str, seconds: float = 20) -> Any:
        """Wait for one of these states and return the row."""

        async def reached() -> bool:
            return await self.state(snapshot) in states

        await self.house.until(reached, seconds)
        rows = await self.house.rows("SELECT * FROM snapshots WHERE id = :id", id=snapshot)
        return rows[0] if rows else None

    async def failure(self, image: str) -> Any:
        row = await self.until(await self.create(image), "error", "active")
        assert row.state == "error"
        assert row.error_reason
        assert row.error_remedy.endswith(".")
        return row

    async def _do(self, command: Callable[[AsyncSession], Awaitable[object]]) -> None:
        """Do it as the server does: once more, when somebody else was faster."""
        for _ in range(20):
            try:
                async with self.house.database.sessions.begin() as session:
                    await command(session)
            except Busy:
                continue
            return
        raise AssertionError("busy for ever")


async def idle(house: House) -> None:
    """Wait until nobody downloads: who writes a file holds a lock on it."""

    async def quiet() -> bool:
        return all(map(_unlocked, (house.root / "partial").iterdir()))

    await house.until(quiet)


def _unlocked(path: Path) -> bool:
    with FileIO(path, "r+") as file:
        return lock_now(file)
