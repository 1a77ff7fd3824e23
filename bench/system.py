"""A whole system of its own for a benchmark: started by the command line, filled past the API, measured from outside."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from bench import usage

# Large enough for every benchmark; the default is 30 snapshots.
_QUOTA = {"DEFAULT_ORG_QUOTA_SNAPSHOT_QUOTA": "100000000"}


@dataclass
class System:
    """A running system."""

    home: Path
    port: int
    key: str = field(repr=False)
    supervisor: int
    environment: dict[str, str] = field(repr=False)
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, headers=self.headers, timeout=60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def program(self) -> str:
        """Return the command line's program."""
        return _COMMAND[0]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def ratoon(self, *words: str) -> str:
        """Run the command line and return what it printed."""
        return _ratoon(self.environment, *words)

    def root(self) -> int:
        """Return the supervisor's process id; it outlives what it supervises."""
        return self.supervisor

    def pid_of(self, command: str) -> int:
        """Return the process id of what `usage.command` calls so."""
        found = [p for p in usage.tree(self.root()) if usage.command(p) == command]
        if not found:
            raise LookupError(f"no process is {command}")
        return found[0]

    def database_url(self, context: str) -> str:
        """Return how a context reaches its database, as its process was told."""
        pid = self.pid_of(f"services.{context} serve")
        return usage.environment(pid)[f"{context.upper()}_DATABASE_URL"]

    def sql(self, context: str, statement: str, *values: Any) -> list[Any]:
        """Run a statement in a context's database, without a time limit, and return its rows."""

        async def act() -> list[Any]:
            connection = await asyncpg.connect(self.database_url(context))
            try:
                await connection.execute("SET statement_timeout = 0")
                return list(await connection.fetch(statement, *values))
            finally:
                await connection.close()

        return asyncio.run(act())

    def organization(self, name: str) -> str:
        body = {"name": name, "defaultRegionId": "us"}
        answer = self.client.post("/organizations", json=body)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def key_of(self, organization: str, name: str = "bench") -> str:
        """Make an ordinary key of an organization."""
        permissions = ["write:snapshots", "delete:snapshots", "manage:api_keys"]
        answer = self.client.post(
            "/api-keys",
            json={"name": name, "permissions": permissions},
            headers={"X-Daytona-Organization-ID": organization},
        )
        answer.raise_for_status()
        return str(answer.json()["value"])

    def personal(self) -> str:
        return next(str(o["id"]) for o in self.client.get("/organizations").json() if o["personal"])


@contextmanager
def running(*flags: str, **environment: str) -> Iterator[System]:
    """Start a system in a folder of its own and remove it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="ratoon-bench-"))
    # The database may run as another user, who must be able to pass.
    home.chmod(0o755)
    port = free_port()
    told = {
        **os.environ,
        **_QUOTA,
        **environment,
        "RATOON_HOME": str(home / "state"),
        "RATOON_PORT": str(port),
    }
    try:
        printed = _ratoon(told, "up", "--detach", *flags)
        found = re.search(r"dtn_[0-9a-f]{64}", printed)
        if found is None:
            raise RuntimeError(f"no key in what was printed:\n{printed}")
        status = json.loads(_ratoon(told, "status", "--json"))
        system = System(home / "state", port, found[0], int(status["pid"]), told)
        with system.client:
            yield system
    finally:
        subprocess.run([*_COMMAND, "down"], env=told, check=False, capture_output=True)
        _remove(home)


def _remove(home: Path) -> None:
    """Remove a system, with what it keeps outside its state folder when root runs it."""
    for name, keys in (("postgres.json", ("data",)), ("runtime.json", ("database", "services"))):
        record = home / "state" / name
        if record.is_file():
            kept = json.loads(record.read_text())
            for key in keys:
                place = Path(kept[key])
                shutil.rmtree(place.parent if key == "data" else place, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


_COMMAND = (str(Path(sys.executable).parent / "ratoon"),)


def _ratoon(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([*_COMMAND, *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ratoon {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
