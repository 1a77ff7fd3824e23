"""The worker throws old contexts away, and a storage that is away does not end it."""

import asyncio
from datetime import timedelta

import pytest

from services.snapshots.worker import expiry


class Storage:
    """Away at first."""

    def __init__(self) -> None:
        self.asked: list[timedelta] = []
        self.answered = asyncio.Event()

    async def expire(self, older_than: timedelta) -> int:
        self.asked.append(older_than)
        if len(self.asked) == 1:
            raise OSError("away")
        self.answered.set()
        return 3


async def test_it_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_EVERY_SECONDS", 0.0)
    storage = Storage()
    running = asyncio.create_task(expiry.expire(storage, timedelta(days=7)))
    await asyncio.wait_for(storage.answered.wait(), 30)
    running.cancel()
    assert storage.asked[:2] == [timedelta(days=7)] * 2
