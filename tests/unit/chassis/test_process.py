"""The life of a process: the word that it is ready, by systemd's protocol; tasks that end when they shall."""

import asyncio
import socket
from pathlib import Path

import pytest

from chassis.process import notify, unless_cancelled


def test_the_supervisor_hears_that_a_process_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify("READY=1")
        assert listening.recv(64) == b"READY=1"


def test_without_a_supervisor_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_a_supervisor_that_is_gone_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("STOPPING=1")


async def test_a_task_whose_cancellation_became_a_failure_ends_all_the_same() -> None:
    begun, rounds = asyncio.Event(), 0

    async def for_ever() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # As a driver does that is interrupted.
                try:
                    raise OSError("the connection is in the middle of something") from None
                except OSError:
                    unless_cancelled()

    task = asyncio.create_task(for_ever())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    assert task.cancelled()
    assert rounds == 1


async def test_a_time_limit_that_ran_out_ends_nothing() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    unless_cancelled()
