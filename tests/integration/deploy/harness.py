"""An installation in a folder of its own, with stand-ins for the services, driven through its command line."""

import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).parents[3]
LIMIT = 60
_ROOM = "from tests.integration.deploy.fake_room import main\n\nmain({room!r}, {folder!r})\n"
REVISION = "20260101_first"


@dataclass
class Installation:
    """One state folder and the processes that belong to it; `user` is who runs it (None: whoever runs the tests)."""

    base: Path
    port: int
    user: int | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.base / "home"

    def start(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--detach", "--port", str(self.port), *options)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.popen(*arguments) as process:
            try:
                out, err = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        who: dict[str, Any] = {}
        if self.user is not None and self.user != os.geteuid():
            who = {"user": self.user, "group": self.user, "extra_groups": []}
        return subprocess.Popen(
            [interpreter(self.user), "-P", "-m", "deploy.local.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=self.environment(),
            **who,
        )

    def environment(self) -> dict[str, str]:
        packages = [p for p in sys.path if p.endswith("site-packages")]
        path = [str(self.base / "fakes"), str(ROOT), str(ROOT / "protos" / "gen"), *packages]
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.base),
            "RATOON_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Nothing that is asked here needs it, and a system's python has no program for it.
            "RATOON_OBJECT_STORAGE": "off",
            **self.variables,
        }

    def status(self, wait: float = 0) -> dict[str, Any]:
        said = self.run("status", "--json", "--wait", str(wait))
        assert said.stdout, said.stderr
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    def process(self, name: str) -> dict[str, Any]:
        return next(one for one in self.status()["processes"] if one["name"] == name)

    def pids(self) -> dict[str, int]:
        status = self.status()
        return {one["name"]: one["pid"] for one in status["processes"]} | {
            "supervisor": status["pid"]
        }

    def fails(self, what: str, why: str) -> Path:
        """Make a stand-in fail from its next start on."""
        path = self.base / "fakes" / f"{what}.fails"
        path.write_text(why)
        path.chmod(0o644)
        return path

    async def fetch(self, database: str, sql: str, role: str | None = None) -> Any:
        """Ask a database as one of the roles, by what the processes themselves are told."""
        connection = await asyncpg.connect(self.database_url(database, role or database))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    def database_url(self, database: str, role: str) -> str:
        secrets = json.loads((self.home / "secrets" / "databases.json").read_text())
        sockets = json.loads((self.home / "runtime.json").read_text())["database"]
        return f"postgresql://{role}:{secrets[role]['password']}@/{database}?host={sockets}"

    def remove(self) -> None:
        """End what still runs and remove what the installation left outside its folder."""
        self.run("down", "--fast")
        outside = []
        if (record := self.home / "postgres.json").exists():
            outside.append(Path(json.loads(record.read_text())["data"]).parent)
        if (record := self.home / "runtime.json").exists():
            outside += [Path(path) for path in json.loads(record.read_text()).values()]
        for folder in (*outside, self.base):
            shutil.rmtree(folder, ignore_errors=True)


def install(user: int | None = None, **variables: str) -> Installation:
    base = Path(tempfile.mkdtemp(prefix="ratoon-test-", dir="/tmp"))
    installation = Installation(base, free_port(), user, variables)
    fakes = base / "fakes"
    rooms = {f"services/{name}": name for name in ("auth", "orgs", "snapshots")}
    for folder, room in {**rooms, "gateway": "gateway"}.items():
        (fakes / folder).mkdir(parents=True)
        (fakes / folder / "__init__.py").touch()
        (fakes / folder / "__main__.py").write_text(_ROOM.format(room=room, folder=str(fakes)))
        if room != "gateway":
            versions = fakes / folder / "migrations" / "versions"
            versions.mkdir(parents=True)
            (versions / "first.py").write_text(f'revision = "{REVISION}"\ndown_revision = None\n')
    (fakes / "services" / "__init__.py").touch()
    if user is not None:
        for path in (base, *base.rglob("*")):
            os.chown(path, user, user)
    return installation


def ordinary_user() -> int:
    """Return an account without privileges: ours, unless we are root."""
    return os.geteuid() or pwd.getpwnam("nobody").pw_uid


def interpreter(user: int | None) -> str:
    """Return a Python of our version that `user` can run: root's own may lie in root's closed folder."""
    if user is None or user == os.geteuid():
        return sys.executable
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            subprocess.run([candidate, "-c", ""], user=user, check=True, cwd="/", env={})
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    raise RuntimeError(f"no Python 3.{sys.version_info.minor} that user {user} can run")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    # Room for the ports that follow the first one.
    return port if port < 65000 else free_port()


def kill_and_wait(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send `number` and return when the process is gone."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, number)
        assert select.select([handle], [], [], LIMIT)[0], f"process {pid} lives on"
    finally:
        os.close(handle)


def wait_for_end(pids: list[int], seconds: float = 15) -> None:
    """Return when all processes are gone, whoever their parent is."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([handle], [], [], seconds)[0], f"process {pid} lives on"
        finally:
            os.close(handle)
