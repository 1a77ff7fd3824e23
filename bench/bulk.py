"""Something done to 10,000 snapshots, from the request to the last item, through the whole system."""

import time
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID

from bench import fill, usage
from bench.system import System, running
from bench.table import Figure
from bench.yardstick import slowness

ITEMS = 10_000
TARGET_SECONDS = 5.0
_LOOK_SECONDS = 0.1
# Each of an artifact of its own, as different images are.
_ARTIFACTS = """
INSERT INTO artifacts (id, organization_id, manifest_digest, repository, size_bytes, config)
SELECT id, organization_id, split_part(ref, '@', 2), split_part(ref, '@', 1), size_bytes, '{}'
FROM snapshots WHERE organization_id = $1"""
_HAVE = "UPDATE snapshots SET artifact_id = id WHERE organization_id = $1"
_IDS = "SELECT id::text FROM snapshots WHERE organization_id = $1"


def measure(runs: int = 3) -> list[Figure]:
    """Deactivate and activate the same ones in every run, and remove them in the end."""
    with running() as system:
        organization = system.organization("bulk")
        body = {"ids": _fill(system, organization)}
        foreseen = [_dry_run(system, organization, body) for _ in range(runs + 1)][1:]
        figures = [Figure(f"foresee {ITEMS} items", median(foreseen), "s")]
        taken: dict[str, list[Taken]] = {"deactivate": [], "activate": []}
        for _ in range(runs + 1):
            for action, found in taken.items():
                found.append(_taken(system, organization, action, body))
        figures += [_figure(action, found[1:]) for action, found in taken.items()]
        return [*figures, _figure("remove", [_taken(system, organization, "remove", body)])]


class Taken(NamedTuple):
    """Seconds of one job: on the wall, at the reference's speed, and of all processors."""

    wall: float
    scaled: float
    cpu: float


def _taken(system: System, organization: str, action: str, body: dict[str, Any]) -> Taken:
    slow, before = slowness(), usage.cpu_seconds(system.root())
    wall = _done(system, organization, action, body)
    cpu = usage.cpu_seconds(system.root()) - before
    return Taken(wall, wall / ((slow + slowness()) / 2), cpu)


def _figure(action: str, taken: list[Taken]) -> Figure:
    wall, scaled, cpu = (median(column) for column in zip(*taken, strict=True))
    name, note = f"{action} {ITEMS} snapshots", f"{cpu:.1f} s of CPU, the audit log's included"
    return Figure(name, wall, "s", TARGET_SECONDS, scaled=scaled, note=note)


def _fill(system: System, organization: str) -> list[str]:
    fill.load(system.database_url("snapshots"), {organization: ITEMS})
    owner = UUID(organization)
    system.sql("snapshots", _ARTIFACTS, owner)
    system.sql("snapshots", _HAVE, owner)
    return [str(row[0]) for row in system.sql("snapshots", _IDS, owner)]


def _dry_run(system: System, organization: str, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    said = _ask(system, organization, {**body, "action": "remove", "dryRun": True})
    assert said["done"] == ITEMS, said["done"]
    return time.perf_counter() - started


def _done(system: System, organization: str, action: str, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    job = _ask(system, organization, {**body, "action": action})
    headers = {"X-Daytona-Organization-ID": organization}
    while not job["finished"]:
        time.sleep(_LOOK_SECONDS)
        path = f"/snapshots/bulk/{job['id']}"
        answer = system.client.get(path, params={"limit": 1}, headers=headers)
        answer.raise_for_status()
        job = answer.json()
    seconds = time.perf_counter() - started
    if job["done"] != ITEMS:
        raise RuntimeError(f"{action}: {job}")
    return seconds


def _ask(system: System, organization: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"X-Daytona-Organization-ID": organization}
    answer = system.client.post("/snapshots/bulk", json=body, headers=headers)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
