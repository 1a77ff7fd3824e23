"""Waiting for a call, but not for ever."""

import asyncio


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Return when `event` is set, or that time is over.

    Not by `asyncio.wait_for`: until Python 3.12 it swallows a cancellation that comes together with the event.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
