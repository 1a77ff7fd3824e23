"""What a worker works in: a database and a store; snapshots are asked for, waited for, and held against the truth."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from chassis.db import Database
from chassis.listen import Wakeups
from services.snapshots.commands.blobs import release_pull
from services.snapshots.commands.moves import WORK, move, standing, wake_workers
from services.snapshots.domain import CONSUMING, State
from services.snapshots.images.http import Http, Timeouts
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.worker import Worker

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

    def __post_init__(self) -> None:
        self.store = OciLayoutStore(self.root)

    def organization(self) -> "Organization":
        return Organization(self, uuid4())

    @asynccontextmanager
    async def worker(
        self,
        *hosts: str,
        places: int = 4,
        policy: Policy = QUICK,
        store_limit: int | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> AsyncIterator[Worker]:
        async def largest(_organization_id: UUID) -> int:
            return self.largest

        async with Http(insecure_hosts=frozenset(hosts), timeouts=timeouts) as http:
            worker = Worker(
                self.database.sessions,
                Wakeups(self.url, "worker under test"),
                http,
                self.store,
                largest,
                places=places,
                policy=policy,
                store_limit=store_limit,
            )
            running = asyncio.create_task(worker.run())
            try:
                yield worker
            finally:
                running.cancel()
                await asyncio.wait({running})
                assert running.cancelled() or running.exception() is None, running.exception()

    async def rows(self, statement: str, **bound: Any) -> list[Any]:
        async with self.database.sessions.begin() as session:
            return list((await session.execute(text(statement), bound)).all())

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
            assert (row.pull_id is not None) == (state in (State.PENDING, State.PULLING)), row
            assert (row.error_code != "") == (state == State.ERROR), row
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

    async def check_at_rest(self, worker: Worker) -> None:
        """Assert that nothing is left over, when no work is under way and the garbage is out."""
        assert await self.pulls() == []
        await worker.garbage.sweep()
        await self.check()
        needed = {row.digest for row in await self.rows("SELECT DISTINCT digest FROM artifact_blobs")}
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

    async def create(self, image: str, *, digest: str = "") -> UUID:
        """Ask for a snapshot of an image, as the server does."""
        made = uuid4()
        bound = {"id": made, "organization": self.id, "image": image, "digest": digest}
        async with self.house.database.sessions.begin() as session:
            await session.execute(
                text(
                    "INSERT INTO pulls (id, organization_id, image_ref, digest)"
                    " VALUES (:pull, :organization, :image, :digest) ON CONFLICT DO NOTHING"
                ),
                {**bound, "pull": uuid4()},
            )
            await session.execute(
                text(
                    "INSERT INTO snapshots (id, organization_id, name, image_ref, state, cpu, gpu, memory, disk,"
                    " region_ids, pull_id) SELECT :id, :organization, :name, :image, 'pending', 1, 0, 1, 3, '{us}', id"
                    " FROM pulls WHERE organization_id = :organization AND image_ref = :image AND digest = :digest"
                ),
                {**bound, "name": f"s-{made}"},
            )
            await session.execute(
                text(
                    "INSERT INTO usage VALUES (:organization, 1, 1, 100) ON CONFLICT (organization_id)"
                    " DO UPDATE SET used = usage.used + 1, total = usage.total + 1"
                ),
                bound,
            )
            await wake_workers(session)
        return made

    async def deactivate(self, snapshot: UUID) -> None:
        await self._leave(snapshot, State.INACTIVE)

    async def delete(self, snapshot: UUID) -> None:
        await self._leave(snapshot, State.REMOVING)

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

    async def _leave(self, snapshot: UUID, to: State) -> None:
        async with self.house.database.sessions.begin() as session:
            pull = await session.scalar(
                text(
                    "SELECT p.id FROM pulls AS p JOIN snapshots AS s ON s.pull_id = p.id WHERE s.id = :id FOR UPDATE OF p"
                ),
                {"id": snapshot},
            )
            row = (
                await session.execute(
                    text("SELECT id, state, generation FROM snapshots WHERE id = :id FOR UPDATE"),
                    {"id": snapshot},
                )
            ).one()
            await move(session, self.id, [standing(row)], to, pull_id=None)
            others = await session.scalar(
                text("SELECT count(*) FROM snapshots WHERE pull_id = :id"), {"id": pull}
            )
            if pull is not None and not others:
                await release_pull(session, pull)
            await wake_workers(session)


__all__ = ["QUICK", "TIMEOUTS", "WORK", "House", "Organization"]
