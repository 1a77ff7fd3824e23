"""The supervisor's control socket: one JSON object a line, asked by `ratoon status` and `ratoon down`."""

import asyncio
import json
import os
import select
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from deploy.local.failures import Failure, NotRunning
from deploy.local.state import Home, socket_path

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
_NAME = "control.sock"


async def serve(folder: Path, answer: Answer) -> asyncio.Server:
    """Answer requests until the server is closed; the socket is for this user only."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                reply = await answer(json.loads(line))
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            # The client went away, or is none of ours.
            return
        finally:
            writer.close()

    path = socket_path(folder, _NAME)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(conversation, path=str(path))
    path.chmod(0o600)
    return server


def remove(folder: Path) -> None:
    """Take the socket away, so that nobody asks a supervisor that is gone."""
    (folder / _NAME).unlink(missing_ok=True)


def ask(home: Home, request: dict[str, Any], patience: float = 10.0) -> dict[str, Any]:
    """Ask the supervisor of this state folder; refused when there is none."""
    folder = home.read("runtime.json").get("services")
    if not isinstance(folder, str):
        raise NotRunning(f"Ratoon does not run with the state folder {home.path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(str(Path(folder) / _NAME))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answer:
                line = answer.readline()
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError) as nobody:
            raise NotRunning(f"Ratoon does not run with the state folder {home.path}") from nobody
        except TimeoutError as silent:
            raise Failure(
                "the supervisor does not answer: see `ratoon logs supervisor`"
            ) from silent
    if not line:
        raise NotRunning(f"Ratoon ended meanwhile: see {home.logs / 'supervisor.log'}")
    reply: dict[str, Any] = json.loads(line)
    return reply


def stop(home: Home, *, fast: bool, patience: float) -> None:
    """Have the supervisor stop everything and return when it is gone."""
    pid = int(ask(home, {"do": "status"})["pid"])
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ask(home, {"do": "down", "fast": fast})
        if not select.select([handle], [], [], patience)[0]:
            raise Failure(
                f"Ratoon (process {pid}) has not stopped within {patience:.0f} s: try --fast"
            )
    finally:
        os.close(handle)
