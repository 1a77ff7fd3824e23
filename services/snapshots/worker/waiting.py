"""Waiting for a call, but not for ever."""

import asyncio


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Return whether `event` was set within that time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
