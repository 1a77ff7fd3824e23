"""From a change of a snapshot until somebody who listens over the socket is told of it, alone and in a crowd."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import httpx
import socketio

from bench import fill
from bench.system import System, running
from bench.table import Figure

_SNAPSHOTS, _LISTENERS = 200, 10
_SECONDS = 60.0


def measure() -> list[Figure]:
    with running() as system:
        organization = system.organization("live")
        fill.load(system.database_url("snapshots"), {organization: _SNAPSHOTS})
        return asyncio.run(_measure(system, organization))


async def _measure(system: System, organization: str) -> list[Figure]:
    headers = {**system.headers, "X-Daytona-Organization-ID": organization}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=system.url, headers=headers, timeout=60)
        )
        ears = [Ear() for _ in range(_LISTENERS)]
        for ear in ears:
            await ear.open(system, organization)
            stack.push_async_callback(ear.client.disconnect)
        page = (await client.get("/snapshots", params={"limit": 200})).json()["items"]
        ids = [s["id"] for s in page if s["state"] == "active"]
        for id_ in ids[:100]:
            await _change(client, id_)
        await _all_told(ears, 100)
        alone = [(told - changed) * 1000 for ear in ears for told, changed in ear.told.values()]
        answered = dict(await asyncio.gather(*(_change(client, id_) for id_ in ids[100:])))
        await _all_told(ears, len(ids))
    # Many changes of one organization wait for each other before they are committed, so these begin with the answer.
    crowd = [(ear.told[id_][0] - at) * 1000 for ear in ears for id_, at in answered.items()]
    return [
        *_figures("one after the other", alone),
        *_figures("all at once, after the answer", crowd),
    ]


async def _change(client: httpx.AsyncClient, id_: str) -> tuple[str, float]:
    (await client.post(f"/snapshots/{id_}/deactivate")).raise_for_status()
    return id_, time.time()


async def _all_told(ears: list["Ear"], count: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while any(len(ear.told) < count for ear in ears):
        if time.monotonic() > deadline:
            raise RuntimeError("somebody was not told")
        await asyncio.sleep(0.05)


class Ear:
    """A listener; for each snapshot it notes when it was told of a change, and when that was."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.told: dict[str, tuple[float, float]] = {}
        self.client.on("snapshot.state.updated", self._hear)

    async def open(self, system: System, organization: str) -> None:
        await self.client.connect(
            f"{system.url.removesuffix('/api')}?organizationId={organization}",
            socketio_path="/api/socket.io/",
            auth={"token": system.key},
            transports=["websocket"],
        )

    async def _hear(self, said: Any) -> None:
        # The moment of the change itself, before it is committed; the API shows milliseconds.
        changed = datetime.fromisoformat(said["snapshot"]["updatedAt"]).timestamp()
        self.told[said["snapshot"]["id"]] = (time.time(), changed)


def _figures(name: str, took: list[float]) -> list[Figure]:
    took = sorted(took)
    return [
        Figure(f"{name}, p50", took[len(took) // 2], "ms"),
        Figure(f"{name}, p99", took[int(len(took) * 0.99)], "ms", 50),
        Figure(f"{name}, max", took[-1], "ms"),
    ]
