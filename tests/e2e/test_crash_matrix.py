"""Whatever is killed at whatever moment: every snapshot comes to a true end, and nothing is counted or told twice.

Five seeded rounds in `make test`, a hundred in `make soak`.
"""

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from bench.system import System
from tests.bases import a_base
from tests.e2e.test_crashes import answers, postmaster, until
from tests.images import image
from tests.registry import Registry
from tests.soak import rounds

ROUNDS = rounds(5, 100)
VICTIMS = (
    "services.snapshots work",
    "services.snapshots build",
    "services.snapshots serve",
    "gateway serve",
    "postgres",
)
_ENDS = {"active", "inactive", "error", "build_failed", "gone"}


@dataclass
class Round:
    """Snapshots that are asked for while processes die. What was not answered may or may not have happened."""

    system: System
    chance: random.Random
    # By name: how it may end.
    ends: dict[str, set[str]] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        try:
            answer = self.system.client.request(method, path, **options)
        except httpx.HTTPError:
            return None
        # Nobody is there to answer, or what stands behind is away: the client tries again later.
        return None if answer.status_code in (502, 503, 504) else answer

    def create(self, source: dict[str, Any], *ends: str) -> str:
        name = f"crash-{uuid4().hex[:12]}"
        self.ends[name] = set(ends)
        answer = self.ask("POST", "/snapshots", json={"name": name, **source})
        if answer is None:
            self.unanswered.add(name)
        else:
            assert answer.status_code == 200, answer.text
        return name

    def deactivate(self, name: str) -> None:
        self._move(name, "POST", "/deactivate", "inactive")

    def delete(self, name: str) -> None:
        self._move(name, "DELETE", "", "gone")

    def _move(self, name: str, method: str, tail: str, end: str) -> None:
        found = self.ask("GET", f"/snapshots/{name}")
        if found is None or found.status_code == 404:
            return
        done = self.ask(method, f"/snapshots/{found.json()['id']}{tail}")
        if done is None:
            self.ends[name].add(end)
        elif done.status_code < 300:
            self.ends[name] = {end}
        else:
            # It failed before it could be taken out of use.
            assert done.status_code == 400, done.text

    def state(self, name: str) -> str:
        found = self.ask("GET", f"/snapshots/{name}")
        if found is None:
            return "unknown"
        return "gone" if found.status_code == 404 else str(found.json()["state"])

    def check_ends(self) -> None:
        for name, ends in self.ends.items():
            until(lambda name=name: self.state(name) in _ENDS, f"{name} ends")  # type: ignore[misc]  # bound now
            state = self.state(name)
            assert state in ends or (state == "gone" and name in self.unanswered), (name, state)


@pytest.fixture
def party(system: System) -> Iterator[None]:
    """The administrator's personal organization, empty before and after."""
    yield
    for one in system.client.get("/snapshots").json()["items"]:
        if one["name"].startswith("crash-"):
            system.client.delete(f"/snapshots/{one['id']}")


def _kill(system: System, victim: str) -> None:
    # It may be on its way up from the last time: then there is nobody to kill.
    with suppress(LookupError, ProcessLookupError, StopIteration):
        pid = postmaster(system) if victim == "postgres" else system.pid_of(victim)
        os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(7200 if ROUNDS > 5 else 300)
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_any_moment(system: System, party: None, registry: Registry, seed: int) -> None:
    chance = random.Random(seed)
    registry.push("matrix-base", "1", a_base())
    for number in range(3):
        sizes = [chance.randint(100_000, 3_000_000) for _ in range(3)]
        registry.push(f"matrix{seed}", str(number), image(sizes, seed=9_000 + seed * 10 + number))
    going = Round(system, chance)
    deeds = [
        *(("create", number) for number in (0, 1, 2, 0)),
        *(("build", 0), ("build", 1), ("build", 0)),
        *(("absent", 0), ("kill", 0), ("kill", 1), ("deactivate", 0), ("delete", 0)),
    ]
    chance.shuffle(deeds)
    for deed, number in deeds:
        if deed == "create":
            going.create({"imageName": f"{registry.host}/matrix{seed}:{number}"}, "active")
        elif deed == "absent":
            going.create({"imageName": f"{registry.host}/matrix{seed}:absent"}, "error")
        elif deed == "build":
            steps = f"FROM {registry.host}/matrix-base:1\nRUN echo {seed} {number} > /built\n"
            going.create({"buildInfo": {"dockerfileContent": steps}}, "active")
        elif deed == "kill":
            _kill(system, chance.choice(VICTIMS))
        elif going.ends:
            getattr(going, deed)(chance.choice(sorted(going.ends)))
        time.sleep(chance.uniform(0, 0.4))
    # Who died five times within a minute is not started at once.
    until(lambda: answers(system, "/snapshots"), "the system answers", seconds=90)
    going.check_ends()
    until(lambda: _at_rest(system), "nobody works any more")
    system.ratoon("status", "--wait", "60")
    assert "rows, blobs and usage agree" in system.ratoon("doctor", "--every-byte")
    _check_story(system, set(going.ends))


def _at_rest(system: System) -> bool:
    # Neither the database nor who tells where it is need be back yet.
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, LookupError):
        [[pulls, removing]] = system.sql(
            "snapshots",
            "SELECT (SELECT count(*) FROM pulls), (SELECT count(*) FROM snapshots WHERE state = 'removing')",
        )
        return bool(pulls == removing == 0)
    return False


def _check_story(system: System, names: set[str]) -> None:
    """What was told of each snapshot is one unbroken story: made once, moved step by step, removed once."""
    told = defaultdict(list)
    for type_, name, old, new in system.sql(
        "snapshots",
        "SELECT type, payload->>'name', payload->>'old_state', coalesce(payload->>'new_state', payload->>'state')"
        " FROM outbox WHERE type LIKE 'snapshot_%' AND payload->>'name' = ANY($1) ORDER BY xid, id",
        sorted(names),
    ):
        told[name].append((type_, old, new))
    for name, story in told.items():
        assert [kind for kind, *_ in story].count("snapshot_created") == 1, (name, story)
        assert story[0][0] == "snapshot_created", (name, story)
        at = story[0][2]
        for kind, old, new in story[1:]:
            if kind == "snapshot_state_changed":
                assert old == at, (name, story)
                at = new
            else:
                assert (kind, at) == ("snapshot_removed", "removing"), (name, story)
                at = "gone"
        [[kept]] = system.sql(
            "snapshots", "SELECT (SELECT state FROM snapshots WHERE name = $1)", name
        )
        assert at == (kept or "gone"), (name, story)
