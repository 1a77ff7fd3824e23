"""Tiny stand-ins for the processes of the system: they keep its conventions and do nothing else."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


def main(room: str, folder: str) -> None:
    """Behave as `room`; a file `<room>-<command>.fails` in `folder` makes that command fail with its text."""
    command = sys.argv[1]
    trouble = Path(folder) / f"{room}-{command}.fails"
    if trouble.exists():
        sys.exit(trouble.read_text())
    if command == "migrate":
        asyncio.run(_migrate(room))
        return
    serve = {"auth": _auth, "gateway": _gateway}.get(room, _idle)
    variable = f"{room}_worker_metrics_listen" if command == "work" else f"{room}_metrics_listen"
    asyncio.run(_until_told(lambda: serve(room), os.environ[variable.upper()]))


async def _migrate(room: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(os.environ[f"{room.upper()}_DATABASE_URL"])
    await connection.execute("CREATE TABLE IF NOT EXISTS boots (at timestamptz DEFAULT now())")
    await connection.execute("INSERT INTO boots DEFAULT VALUES")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS alembic_version (version_num text PRIMARY KEY)"
    )
    await connection.execute(
        "INSERT INTO alembic_version VALUES ($1) ON CONFLICT DO NOTHING", "20260101_first"
    )
    await connection.close()


async def _until_told(serve: Callable[[], Awaitable[Any]], metrics: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, port = metrics.rsplit(":", 1)
    servers = [await serve(), await asyncio.start_server(_hang_up, host, int(port))]
    _notify("READY=1")
    await stop.wait()
    _notify("STOPPING=1")
    servers.clear()


def _notify(word: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(word.encode(), os.environ["NOTIFY_SOCKET"])


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _idle(_room: str) -> None:
    return


async def _auth(_room: str) -> Any:
    import asyncpg
    import grpc

    from ratoon.auth.v1 import user_service_pb2 as pb
    from ratoon.auth.v1 import user_service_pb2_grpc as pb_grpc

    url = os.environ["AUTH_DATABASE_URL"]

    class Users(pb_grpc.UserServiceServicer):
        async def EnsureAdmin(self, request: Any, context: Any) -> Any:
            connection = await asyncpg.connect(url)
            await connection.execute("CREATE TABLE IF NOT EXISTS admin (email text PRIMARY KEY)")
            made = await connection.fetchval(
                "INSERT INTO admin VALUES ($1) ON CONFLICT DO NOTHING RETURNING email",
                request.email,
            )
            await connection.close()
            answer = pb.EnsureAdminResponse(secret="dtn_first" if made else "")
            answer.user.email = request.email
            return answer

        async def GetCurrentUser(self, request: Any, context: Any) -> Any:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not for operators")

        async def IssueAccountKey(self, request: Any, context: Any) -> Any:
            answer = pb.IssueAccountKeyResponse(secret="dtn_another")
            answer.api_key.name = request.name or "made up"
            return answer

        async def AddUser(self, request: Any, context: Any) -> Any:
            answer = pb.AddUserResponse(created=request.email != "known@example.com")
            answer.user.email = request.email
            answer.secret = "dtn_person" if answer.created else ""
            return answer

        async def ListUsers(self, request: Any, context: Any) -> Any:
            last = request.page_token == "second"
            who = "bob@example.com" if last else "ada@example.com"
            answer = pb.ListUsersResponse(next_page_token="" if last else "second")
            answer.users.add(id=who.partition("@")[0], name="Somebody", email=who, local=True)
            return answer

        async def SetUserDisabled(self, request: Any, context: Any) -> Any:
            if request.email == "nobody@example.com":
                await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such user")
            answer = pb.SetUserDisabledResponse()
            answer.user.id, answer.user.email = request.user_id or "ada", request.email
            if request.disabled:
                answer.user.disable_time.GetCurrentTime()
            return answer

    server = grpc.aio.server()
    users = Users()  # type: ignore[abstract]  # the operator asks nothing else of it
    pb_grpc.add_UserServiceServicer_to_server(users, server)
    server.add_insecure_port(os.environ["AUTH_LISTEN"])
    await server.start()
    return server


_FOUND = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n"
)
_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"


async def _gateway(_room: str) -> Any:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *headers = head.strip().split("\r\n")
        body = json.dumps({"line": line, "headers": [h.split(": ", 1) for h in headers]}).encode()
        writer.write(_UPGRADED if "upgrade: websocket" in headers else _FOUND % len(body))
        writer.write(body)
        await writer.drain()
        writer.close()

    host, port = os.environ["GATEWAY_LISTEN"].rsplit(":", 1)
    return await asyncio.start_server(answer, host, int(port))
