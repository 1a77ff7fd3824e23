"""Waiting ends, and never hides that it is over for other reasons."""

import asyncio
import time

import pytest

from services.snapshots.worker.waiting import wait


async def test_it_ends_with_the_event_or_the_time() -> None:
    event = asyncio.Event()
    begun = time.monotonic()
    await wait(event, 0.05)
    assert time.monotonic() - begun >= 0.05
    event.set()
    await wait(event, 60)


async def test_a_cancellation_that_comes_with_the_event_counts() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(wait(event, 60))
    await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
