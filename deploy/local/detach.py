"""`ratoon up --detach`: starts the supervisor in a session of its own and waits for its word."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from deploy.local.failures import AlreadyRunning, Failure
from deploy.local.state import Home


def start(home: Home, arguments: Sequence[str]) -> str:
    """Return the text to print when all is healthy, or raise what the supervisor failed with."""
    home.prepare()
    log = os.open(home.logs / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    reading, writing = os.pipe()
    environment = dict(os.environ)
    if path := environment.get("PYTHONPATH"):
        parts = (os.path.abspath(part) for part in path.split(os.pathsep) if part)  # noqa: PTH100 - no symlinks resolved, plain text joined again
        environment["PYTHONPATH"] = os.pathsep.join(parts)
    command = (sys.executable, "-P", "-m", "deploy.local.cli", "up", *arguments)
    subprocess.Popen(
        (*command, "--report-fd", str(writing)),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        env=environment,
        pass_fds=(writing,),
        start_new_session=True,
    )
    os.close(writing)
    os.close(log)
    with os.fdopen(reading) as report:
        said = report.read()
    if not said:
        raise Failure(f"the supervisor ended without a word: see {home.logs / 'supervisor.log'}")
    word = json.loads(said)
    if "failure" in word:
        raise (AlreadyRunning if word["code"] == AlreadyRunning.exit_code else Failure)(
            word["failure"]
        )
    text: str = word["text"]
    return text


class Report:
    """The supervisor's end of the pipe: one word, then closed."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def healthy(self, text: str) -> None:
        self._send({"text": text})

    def failed(self, failure: Failure) -> None:
        self._send({"failure": str(failure), "code": failure.exit_code})

    def _send(self, word: dict[str, object]) -> None:
        if self._handle < 0:
            return
        try:
            os.write(self._handle, json.dumps(word).encode())
        except BrokenPipeError:
            # Whoever started us did not wait. The word is lost, the installation runs; `ratoon status` tells.
            print("nobody waits for the report any more", file=sys.stderr)
        os.close(self._handle)
        self._handle = -1
