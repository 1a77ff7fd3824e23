"""The storage for build contexts in a container: `serve`, whose S3 alone is reached from outside of it.

What it is told lies in memory and is made at each start, but for the keys, which are mounted.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from deploy.local.binaries import find_weed
from deploy.local.certificates import ensure
from deploy.local.state import Home, write_private
from deploy.local.storage import PORTS, Storage

HOME = Path("/storage")
# Within the container's network there is nobody to share them with.
_FIRST = 8333
_PAUSE_SECONDS, _PATIENCE_SECONDS = 0.2, 60.0


def main() -> None:
    if sys.argv[1:] != ["serve"]:
        sys.exit("usage: storage.py serve")
    sys.exit(serve(HOME, Path(os.environ["STORAGE_KEYS_FILE"]), _FIRST, "0.0.0.0"))  # noqa: S104 - of the container


def serve(at: Path, keys: Path, first: int, listen: str) -> int:
    """Serve until a signal comes or the server ends by itself; return the exit code."""
    home = Home(at)
    home.secrets.mkdir(mode=0o700, exist_ok=True)
    write_private(home.secrets / "storage.json", keys.read_text())
    ensure(home.tls)
    ports = {name: first + number for number, name in enumerate(("s3-plain", *_others()))}
    storage = Storage(home, find_weed(), home.secrets, ports, listen)
    storage.prepare()
    server, bucket = storage.specs(os.environ)
    storage.clear()
    stopped: list[int] = []
    with subprocess.Popen(server.command, cwd="/") as running:

        def stop(number: int, _frame: object) -> None:
            # In order it would take a quarter of a minute; what it has said it keeps is written either way.
            stopped.append(number)
            running.kill()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        _await_port(running, ports["s3-plain"])
        if running.poll() is None:
            made = subprocess.run(
                bucket.command, input=bucket.text, text=True, capture_output=True, check=False
            )
            if made.returncode != 0 and running.poll() is None:
                print(f"the bucket cannot be made: {made.stderr[-2000:]}", file=sys.stderr)
                running.kill()
                return 1
    return 0 if stopped else 1


def _others() -> list[str]:
    return [name for name in PORTS if name != "s3-plain"]


def _await_port(running: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while running.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
