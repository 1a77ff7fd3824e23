"""A throw-away PostgreSQL cluster for tests and benchmarks: `with scratch_cluster() as cluster: cluster.create(...)`."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.account import database_account
from deploy.local.binaries import find_postgres
from deploy.local.failures import Failure
from deploy.local.lifeline import die_with_parent
from deploy.local.postgres import READY_LINE, Cluster, initialise

_START_LIMIT = 60


@dataclass(frozen=True, slots=True)
class ScratchCluster:
    """A running cluster; its superuser is `postgres`."""

    cluster: Cluster
    password: str
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres", user: str = "postgres", password: str = "") -> str:
        return self.cluster.url(database, user, password or self.password)

    def create(self, database: str, *, template: str = "template1", owner: str = "postgres") -> str:
        """Make a database and return its address as superuser; the template must have no sessions."""
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}" OWNER "{owner}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run statements as superuser and return the rows, one a line, unaligned."""
        command = (*self.cluster.psql(database), "--tuples-only", "--no-align")
        done = subprocess.run(
            command,
            input=sql,
            env={"PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise Failure(done.stderr.strip())
        return done.stdout.strip()


@contextmanager
def scratch_cluster(
    settings: Mapping[str, str] | None = None,
    *,
    durable: bool = False,
    binaries: Path | None = None,
) -> Iterator[ScratchCluster]:
    """Run a fresh cluster in a temporary folder until the block ends; not `durable`: without fsync."""
    account = database_account()
    # Not below TMPDIR, which may be too long for a socket.
    base = Path(tempfile.mkdtemp(prefix="ratoon-pg-", dir="/tmp"))
    account.give(base)
    fast = {} if durable else {"fsync": "off", "full_page_writes": "off"}
    cluster = Cluster(
        find_postgres(account, binaries), account, base / "data", base, {**fast, **(settings or {})}
    )
    password = secrets.token_urlsafe(16)
    try:
        initialise(cluster, password)
        process = _start(cluster, base)
        try:
            yield ScratchCluster(cluster, password, process)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(base)


def _start(cluster: Cluster, cwd: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        cluster.command(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={"LC_ALL": "C"},
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGQUIT),
        **cluster.account.popen_options(),
    )
    ready = threading.Event()
    said: list[bytes] = []
    threading.Thread(target=_drain, args=(process, ready, said), daemon=True).start()
    if not ready.wait(_START_LIMIT) or process.poll() is not None:
        _stop(process)
        raise Failure(f"PostgreSQL did not start: {b''.join(said[-20:]).decode(errors='replace')}")
    return process


def _drain(process: subprocess.Popen[bytes], ready: threading.Event, said: list[bytes]) -> None:
    """Read the server's log to its end, so that it never blocks; its last lines explain a failed start."""
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        del said[:-50]
        if READY_LINE in line:
            ready.set()
    process.stderr.close()
    process.wait()
    ready.set()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGINT)
    process.wait(30)
