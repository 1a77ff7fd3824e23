"""Wall time of the audit log of an organization with a million records, and of everybody's."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from bench.system import System, running
from bench.table import Figure

_COLUMNS = (
    "id", "created_at", "organization_id", "actor_id", "actor_email", "actor_api_key_prefix", "actor_api_key_suffix",
    "action", "target_type", "target_id", "status_code", "error_message", "ip_address", "user_agent", "source", "metadata",
)  # fmt: skip
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
# A year's worth, so that an hour has about as many records as that of a busy organization.
_APART = timedelta(seconds=31)
_DONE = (
    ("create", "snapshot", 200), ("delete", "snapshot", 200), ("create", "api_key", 201), ("read", "snapshot", 403),
    ("update_access", "organization_user", 200), ("activate", "snapshot", 200), ("delete", "organization", 403),
)  # fmt: skip
_SECONDARY = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'audit_records' AND indexname LIKE 'ix_%'"


def rows(organization: str, count: int) -> Iterator[tuple[Any, ...]]:
    """Yield records of an organization: fifty people, seven kinds of requests, some of them refused."""
    owner = UUID(organization)
    for n in range(count):
        action, target, status = _DONE[n % 7]
        person = f"auth0|{n % 50:024x}"
        error = "PERMISSION_MISSING: write:snapshots is required" if status == 403 else ""
        metadata = json.dumps({"name": f"base-{n:07d}"})
        yield (
            uuid4(), _EPOCH + n * _APART, owner, person, f"{person[-4:]}@example.com", "dtn", "abc", action, target,
            str(uuid4()), status, error, "203.0.113.7", "sdk-python/0.205.0", "sdk-python", metadata,
        )  # fmt: skip


def load(url: str, counts: dict[str, int]) -> None:
    """Give each organization so many records; the database counts them itself."""
    asyncio.run(_load(url, counts))


async def _load(url: str, counts: dict[str, int]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET statement_timeout = 0; SET maintenance_work_mem = '512MB'")
        indexes = await connection.fetch(_SECONDARY)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for organization, count in counts.items():
            records = rows(organization, count)
            await connection.copy_records_to_table(
                "audit_records", records=records, columns=_COLUMNS
            )
        for index in indexes:
            await connection.execute(index["indexdef"])
        await connection.execute("VACUUM (ANALYZE) audit_records")
        await connection.execute("VACUUM (ANALYZE) audit_counts")
    finally:
        await connection.close()


def measure(records: int = 1_000_000, runs: int = 15) -> list[Figure]:
    with running() as system:
        large = system.organization("large")
        key = _key(system, large)
        others = {str(uuid4()): 100 for _ in range(100)}
        load(system.database_url("orgs"), {large: records, **others})
        path = f"/audit/organizations/{large}"
        own, all_ = _Timed(system, key, runs), _Timed(system, system.key, runs)
        return [*_pages(own, path, records), *_filtered(own, path, records), *_everybody(all_, records), _export(own, path, records)]  # fmt: skip


def _pages(timed: "_Timed", path: str, count: int) -> list[Figure]:
    last = count // 100
    figures = [
        timed(f"org of all: {name} page", f"{path}?page={page}", 10)
        for name, page in (("first", 1), ("middle", last // 2), ("last", last))
    ]
    token = timed.get(f"{path}?page={last // 2}").json()["nextToken"]
    return [*figures, timed("org of all: a page by token", f"{path}?nextToken={token}", 10)]


def _filtered(timed: "_Timed", path: str, count: int) -> list[Figure]:
    """What is filtered is counted exactly: for information, what that costs."""
    middle = (_EPOCH + count // 2 * _APART).isoformat()[:19] + "Z"
    return [
        timed("org of all: one person's (2 %)", f"{path}?actorId=auth0|{7:024x}", None),
        timed("org of all: what was refused (29 %)", f"{path}?statusCode[gte]=400", None),
        timed("org of all: the younger half", f"{path}?from={middle}", None),
        timed("org of all: one id", f"{path}?id={uuid4()}", 10),
    ]


def _everybody(timed: "_Timed", count: int) -> list[Figure]:
    return [
        timed(f"everybody: {name} page", f"/admin/audit?page={page}", 10)
        for name, page in (("first", 1), ("middle", count // 200), ("last", count // 100))
    ]


def _export(timed: "_Timed", path: str, count: int) -> Figure:
    started, lines = time.perf_counter(), 0
    with timed.client.stream("GET", f"{path}/export", timeout=None) as answer:
        for chunk in answer.iter_bytes(1 << 16):
            lines += chunk.count(b"\n")
    seconds = time.perf_counter() - started
    if lines < count:
        raise RuntimeError(f"the export has {lines} lines of {count}")
    return Figure("org of all: the whole export", lines / seconds, "lines/s", note=f"{seconds:.0f} s")  # fmt: skip


def _key(system: System, organization: str) -> str:
    answer = system.client.post(
        "/api-keys",
        json={"name": "audit", "permissions": ["read:audit_logs"]},
        headers={"X-Daytona-Organization-ID": organization},
    )
    answer.raise_for_status()
    return str(answer.json()["value"])


class _Timed:
    """Times one request again and again and takes the median."""

    def __init__(self, system: System, key: str, runs: int) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(base_url=system.url, headers=headers, timeout=60)
        self._runs = runs

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path).raise_for_status()

    def __call__(self, name: str, path: str, target: float | None) -> Figure:
        took = []
        for _ in range(self._runs + 2):
            started = time.perf_counter()
            answer = self.get(path)
            took.append((time.perf_counter() - started) * 1000)
        said, measured = answer.json(), took[2:]
        note = f"max {max(measured):.1f}, {len(said['items'])} of {said['total']}"
        return Figure(name, median(measured), "ms wall", target, note=note)
