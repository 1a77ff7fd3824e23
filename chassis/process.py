"""The life of a process: its event loop, the word that it is ready, the orderly end on SIGTERM."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import uvloop

log = logging.getLogger(__name__)
Main = Callable[[asyncio.Event], Awaitable[None]]


def run(main: Main) -> None:
    """Run `main(stop)` until it returns; SIGTERM and SIGINT set `stop`."""
    uvloop.run(_with_signals(main))


async def _with_signals(main: Main) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)


def notify(state: str) -> None:
    """Tell the supervisor `READY=1` or `STOPPING=1` by systemd's protocol; without a supervisor, nobody."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect(address)
            out.sendall(state.encode())
        except OSError as gone:
            # A supervisor that is gone must not keep a process from ending in order.
            log.warning("the supervisor does not listen: %s", gone)


def unless_cancelled() -> None:
    """End the task if it was cancelled. For loops that go on after a failure: it may have come instead of the cancellation.

    A driver that is cancelled within a statement now and then raises a failure of its own, and the cancellation is lost.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
