"""The storage for build contexts as `ratoon up` runs it, alone."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.system import free_port
from deploy.local.binaries import find_weed
from deploy.local.certificates import ensure
from deploy.local.ports import choose
from deploy.local.process import Spec
from deploy.local.state import Home
from deploy.local.storage import PORTS, Storage
from services.snapshots.contexts.settings import ContextsSettings


@contextmanager
def running_storage() -> Iterator[tuple[Storage, ContextsSettings]]:
    """Start one in a folder of its own, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        home = Home(Path(folder))
        home.secrets.mkdir()
        ensure(home.tls)
        storage = Storage(home, find_weed(), home.path, choose(free_port(), PORTS))
        storage.prepare()
        server, bucket = storage.specs({"PATH": os.environ["PATH"], "HOME": folder})
        with subprocess.Popen(server.command, env=server.environment, stderr=subprocess.PIPE) as it:
            try:
                _await_ready(it, server)
                subprocess.run(
                    bucket.command,
                    env=bucket.environment,
                    input=bucket.text.encode(),
                    capture_output=True,
                    check=True,
                    timeout=60,
                )
                yield storage, settings_of(storage)
            finally:
                it.kill()
                storage.clear()


def settings_of(storage: Storage) -> ContextsSettings:
    told = storage.contexts_environment()
    prefix = "SNAPSHOTS_CONTEXTS_"
    return ContextsSettings.model_validate(
        {name.removeprefix(prefix).lower(): value for name, value in told.items()}
    )


def _await_ready(process: "subprocess.Popen[bytes]", spec: Spec) -> None:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if spec.ready_line in line:
            # Whatever it says from now on must not block it.
            _drain(process)
            return
    raise RuntimeError(f"the storage ended: {b''.join(said[-5:]).decode()}")


def _drain(process: "subprocess.Popen[bytes]") -> None:
    stream = process.stderr
    assert stream is not None
    threading.Thread(target=lambda: [None for _ in stream], daemon=True).start()
