"""One PostgreSQL cluster over given binaries: made whole or not at all, started as the right account, stopped in order."""

import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from deploy.local.account import Account, run_as
from deploy.local.binaries import Binaries
from deploy.local.failures import Failure
from deploy.local.secret_files import DatabaseSecret

READY_LINE = b"database system is ready to accept connections"
PORT = 5432
# For a machine with two cores and little memory; durable in every respect.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_connections": "80",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "1",
    "huge_pages": "off",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "30s",
    "autovacuum_max_workers": "2",
    "autovacuum_vacuum_cost_limit": "1000",
    "idle_in_transaction_session_timeout": "60s",
    "log_checkpoints": "off",
    "log_lock_waits": "on",
    "log_min_duration_statement": "2s",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
}
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a cluster lives and how it is run."""

    binaries: Binaries
    account: Account
    data: Path
    sockets: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def command(self) -> tuple[str, ...]:
        settings = {**SETTINGS, **self.settings}
        options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        program = str(self.binaries.program("postgres"))
        return (program, "-D", str(self.data), "-k", str(self.sockets), "-p", str(PORT), *options)

    def url(self, database: str, user: str, password: str) -> str:
        """Return the address for asyncpg and libpq alike."""
        place = quote(str(self.sockets), safe="/")
        return f"postgresql://{quote(user)}:{quote(password)}@/{quote(database)}?host={place}&port={PORT}"

    def psql(self, database: str = "postgres") -> tuple[str, ...]:
        """Return the command of a session as superuser; the password goes into PGPASSWORD, the statements into stdin."""
        program = str(self.binaries.program("psql"))
        return (
            *(program, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "-h", str(self.sockets)),
            *("-p", str(PORT), "-U", "postgres", "-d", database, "-f", "-"),
        )


def initialise(cluster: Cluster, password: str) -> None:
    """Make the cluster unless it is there; refuse one that other binaries made.

    A new one is made beside its place, flushed, and renamed: a crash on the way leaves none rather than half of one.
    """
    marker = cluster.data / "PG_VERSION"
    if marker.exists():
        _require_same_major(cluster, marker.read_text().strip())
        return
    if cluster.data.is_dir() and any(cluster.data.iterdir()):
        raise Failure(f"{cluster.data} is not empty and no PostgreSQL cluster: move it away")
    base = cluster.data.parent
    with tempfile.TemporaryDirectory(dir=base, prefix=".new-") as temporary:
        work = Path(temporary)
        cluster.account.give(work)
        secret = work / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        cluster.account.give(secret)
        fresh = work / "data"
        _initdb(
            cluster, work, "-D", str(fresh), "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", "--no-sync",
        )  # fmt: skip
        if cluster.settings.get("fsync") != "off":
            _initdb(cluster, work, "-D", str(fresh), "--sync-only")
        if cluster.data.is_dir():
            cluster.data.rmdir()
        fresh.rename(cluster.data)
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)


def _initdb(cluster: Cluster, cwd: Path, *arguments: str) -> None:
    command = (str(cluster.binaries.program("initdb")), *arguments)
    done = run_as(cluster.account, command, cwd=cwd, environment=_ENVIRONMENT)
    if done.returncode != 0:
        raise Failure(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")


def _require_same_major(cluster: Cluster, made_by: str) -> None:
    if made_by != str(cluster.binaries.major):
        raise Failure(
            f"the data in {cluster.data} is of PostgreSQL {made_by}, but the binaries in"
            f" {cluster.binaries.folder} are of {cluster.binaries.version}: start with those of"
            f" {made_by} (--postgres-bin), or dump with the old and restore with the new ones"
        )


def roles_and_databases(roles: Mapping[str, DatabaseSecret]) -> str:
    """Return statements that give each role a database that no other role may enter; they may be run again and again."""
    lines = [
        # A refused statement must not take a verifier into the log.
        "SET log_min_error_statement = panic;",
        "REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;",
    ]
    for role, secret in roles.items():
        lines += [
            f"SELECT 'CREATE ROLE {role} LOGIN' WHERE NOT EXISTS"
            f" (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec",
            f"SELECT 'ALTER ROLE {role} PASSWORD ''{secret.verifier}''' FROM pg_authid"
            f" WHERE rolname = '{role}' AND rolpassword IS DISTINCT FROM '{secret.verifier}' \\gexec",
            f"SELECT 'CREATE DATABASE {role} OWNER {role}' WHERE NOT EXISTS"
            f" (SELECT FROM pg_database WHERE datname = '{role}') \\gexec",
            f"REVOKE CONNECT, TEMPORARY ON DATABASE {role} FROM PUBLIC;",
        ]
    return "\n".join(lines) + "\n"


def place_for_data(home: Path, account: Account, recorded: str | None, shared: Path) -> Path:
    """Return where the cluster lives: in the state folder, or in `shared` when its account may not enter that.

    A state folder is closed to everybody but its owner. When root runs Ratoon, the database's account is another
    one, so the data gets a folder of its own that says in `OWNER` which state folder it belongs to.
    """
    if recorded is not None:
        return Path(recorded)
    if not account.drop:
        return home / "postgres"
    shared.mkdir(mode=0o755, parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=shared, prefix="data-"))
    (place / "OWNER").write_text(json.dumps({"home": str(home)}) + "\n")
    account.give(place)
    return place / "postgres"


def clear_leftovers(data: Path) -> None:
    """Remove what a cluster's making left behind when it was killed."""
    for path in data.parent.glob(".new-*"):
        shutil.rmtree(path)


def running_postmaster(data: Path) -> int | None:
    """Return the process that serves `data` now; drop a `postmaster.pid` whose number another program has by now.

    PostgreSQL itself clears the file of a dead process. What it cannot know is that a process with that number is
    something else, or is dead and waits for a parent that does not ask after it, as in many containers; we can,
    because a living server's working folder is its data folder.
    """
    pid_file = data / "postmaster.pid"
    try:
        lines = pid_file.read_text().splitlines()
        pid = abs(int(lines[0]))
    except (FileNotFoundError, ValueError, IndexError):
        return None
    try:
        if Path(f"/proc/{pid}/cwd").readlink() == data.resolve():
            return pid
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        # Dead, or a process of another account and so no server of ours.
        pass
    if not _attached(lines):
        pid_file.unlink(missing_ok=True)
    return None


def forget_sockets(sockets: Path) -> None:
    """Remove what a dead server left where only servers of this cluster listen: its number may be another program's by now."""
    for name in (f".s.PGSQL.{PORT}.lock", f".s.PGSQL.{PORT}"):
        (sockets / name).unlink(missing_ok=True)


def _attached(lines: Iterable[str]) -> bool:
    """Return whether sessions of the dead server still hold its shared memory (line 7: key and id)."""
    line = [*lines][6:7]
    ids = line[0].split() if line else []
    if len(ids) != 2:
        return False
    for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        cells = row.split()
        if cells[1] == ids[1]:
            return int(cells[6]) > 0
    return False


def end(pid: int, patience: float = 20.0) -> None:
    """Stop a server that an earlier supervisor left: in order, then at once."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], patience)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
