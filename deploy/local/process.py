"""What is to be run, and one start of it: from spawning through its word that it is ready to its end."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from deploy.local.account import Account
from deploy.local.lifeline import die_with_parent


@dataclass(frozen=True, slots=True)
class Spec:
    """A process of the plan."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    # The names of the processes that must be ready before this one starts, and that stop after it.
    after: tuple[str, ...] = ()
    # It does a piece of work and ends; the others go on once it has succeeded.
    once: bool = False
    # Said on the standard input of a process that runs once.
    text: str = field(default="", repr=False)
    # A process that does not speak systemd's protocol is ready when it logs this.
    ready_line: bytes = b""
    # Runs before each start, in the supervisor.
    before: Callable[[], None] | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    # What a second Ctrl-C sends, and what the kernel sends when the supervisor dies.
    kill_signal: signal.Signals = signal.SIGKILL
    patience: float = 10.0
    metrics: str = ""


class Running:
    """One start of a process."""

    def __init__(self, spec: Spec, log: Path, notify: Path) -> None:
        self.spec = spec
        self._loop = asyncio.get_running_loop()
        self._notify = notify
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._tail = b""
        self.ready = asyncio.Event()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._cleanup = ExitStack()
        self._cleanup.callback(os.close, self._log)
        try:
            self._speaks = not spec.once and not spec.ready_line
            if self._speaks:
                self._listen()
            self._child = self._spawn()
        except BaseException:
            self._cleanup.close()
            raise
        self.pid = self._child.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._cleanup.callback(os.close, self._pidfd)
        self._loop.add_reader(self._pidfd, self._reap)
        if self._child.stderr is not None:
            self._follow(self._child.stderr)

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to the process; SIGKILL goes to everything it started in its session as well."""
        if self.ended.done():
            return
        if number is signal.SIGKILL:
            os.killpg(self.pid, number)
        else:
            signal.pidfd_send_signal(self._pidfd, number)

    def _spawn(self) -> subprocess.Popen[bytes]:
        spec = self.spec
        environment = dict(spec.environment)
        if self._speaks:
            environment["NOTIFY_SOCKET"] = str(self._notify)
        child = subprocess.Popen(
            spec.command,
            stdin=subprocess.PIPE if spec.text else subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.PIPE if spec.ready_line else self._log,
            cwd="/",
            env=environment,
            # Ctrl-C in the terminal is for the supervisor, which then stops the others in order.
            start_new_session=True,
            preexec_fn=die_with_parent(spec.kill_signal),
            **(spec.account.popen_options() if spec.account else {}),
        )
        if child.stdin is not None:
            # Far less than a pipe holds, so this cannot block.
            child.stdin.write(spec.text.encode())
            child.stdin.close()
        return child

    def _listen(self) -> None:
        self._notify.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._cleanup.callback(listener.close)
        listener.setblocking(False)
        listener.bind(str(self._notify))
        self._cleanup.callback(self._notify.unlink, missing_ok=True)
        self._notify.chmod(0o600)
        self._loop.add_reader(listener.fileno(), self._hear, listener)
        self._cleanup.callback(self._loop.remove_reader, listener.fileno())

    def _hear(self, listener: socket.socket) -> None:
        if b"READY=1" in listener.recv(4096).split(b"\n"):
            self.ready.set()

    def _follow(self, stream: IO[bytes]) -> None:
        """Pass what the process logs on to its file, looking for the line that says it is ready."""
        os.set_blocking(stream.fileno(), False)
        self._cleanup.callback(stream.close)
        self._loop.add_reader(stream.fileno(), self._read_log, stream.fileno())
        self._cleanup.callback(self._loop.remove_reader, stream.fileno())
        # Last words that arrive together with the news of the end.
        self._cleanup.callback(self._read_log, stream.fileno())

    def _read_log(self, stream: int) -> None:
        try:
            chunk = os.read(stream, 1 << 20)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(stream)
            return
        os.write(self._log, chunk)
        if not self.ready.is_set():
            self._tail = (self._tail + chunk)[-4096:]
            if self.spec.ready_line in self._tail:
                self.ready.set()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        # Not waited for yet, so its number is still its own: what it started in its session goes with it.
        os.killpg(self.pid, signal.SIGKILL)
        code = self._child.wait()
        self._cleanup.close()
        self.ended.set_result(code)


def describe_end(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"
