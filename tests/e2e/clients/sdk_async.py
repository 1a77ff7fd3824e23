"""Run by the environment of PyPI daytona: the asynchronous client, unmodified. Prints what it saw as JSON."""

import asyncio
import json
import os

from daytona import AsyncDaytona, CreateSnapshotParams, DaytonaConfig


async def main() -> None:
    logs: list[str] = []
    config = DaytonaConfig(api_key=os.environ["KEY"], api_url=os.environ["URL"])
    async with AsyncDaytona(config) as daytona:
        names = [f"async-{n}" for n in range(5)]
        params = [CreateSnapshotParams(name=n, image=os.environ["IMAGE"]) for n in names]
        made = await asyncio.gather(
            *(daytona.snapshot.create(p, on_logs=logs.append, timeout=60) for p in params)
        )
        listed = await daytona.snapshot.list()
        listening = daytona._event_dispatcher
        connected = listening is not None and listening.is_connected and not listening.is_failed
        await asyncio.gather(*(daytona.snapshot.delete(s) for s in made))
    print(
        json.dumps(
            {
                "states": [s.state for s in made],
                "refs": sorted({s.ref for s in made}),
                "listed": sorted(s.name for s in listed.items if s.name in names),
                "logs": logs,
                "connected": connected,
            }
        )
    )


asyncio.run(main())
