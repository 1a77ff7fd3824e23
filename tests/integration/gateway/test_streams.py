"""Answers that go on are cut off when who reads them may not any more; for everybody else they go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from msgspec.structs import replace

from chassis.grpc import revocations
from gateway import streams
from gateway.__main__ import effect_on
from tests.gateway_fakes import KEY, ORG, OWNER, USER, Fakes
from tests.integration.gateway.conftest import Served
from tests.integration.gateway.test_server import client_at, listening

KEY_ID = str(UUID(int=101, version=4))


@pytest.fixture
async def path(fakes: Fakes, served: Served, tmp_path: Path) -> AsyncIterator[Path]:
    """A gateway that follows revocations, as the process does."""
    gateway = served[0]
    follow = revocations.follow(
        *(gateway.services.auth_channel, gateway.identity), *effect_on(gateway)
    )
    task = asyncio.create_task(follow)
    await fakes.auth.watched()
    fakes.snapshots.logs["base"] = [b"begun\n"]
    async with listening(served, tmp_path / "http"):
        yield tmp_path / "http"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _followed(
    fakes: Fakes, path: Path, credential: str = KEY
) -> AsyncIterator[tuple[AsyncIterator[bytes], asyncio.Event]]:
    """Read a log that goes on; give what is read, and what lets its build end."""
    more = fakes.snapshots.calls.holds["follow"] = asyncio.Event()
    async with client_at(path) as client:
        client.headers["authorization"] = f"Bearer {credential}"
        client.headers["x-daytona-organization-id"] = ORG
        url = "/snapshots/base/build-logs?follow=true"
        async with client.stream("GET", url) as answer:
            assert answer.status_code == 200
            read = answer.aiter_bytes()
            assert await anext(read) == b"begun\n"
            yield read, more


async def _is_cut_off(read: AsyncIterator[bytes]) -> None:
    # It does not end as what is whole ends.
    with pytest.raises(httpx.RemoteProtocolError):
        await asyncio.wait_for(anext(read), 5)


@pytest.mark.parametrize(
    "which", [{"api_key_id": KEY_ID}, {"user_id": USER}, {"organization_id": ORG}]
)
async def test_who_is_revoked_reads_no_more(
    fakes: Fakes, path: Path, which: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with _followed(fakes, path) as (read, _):
        del fakes.auth.known[KEY]
        fakes.auth.revoke(**which)
        await _is_cut_off(read)
    await fakes.snapshots.calls.until(lambda calls: calls.cancelled == 1)
    # That is foreseen, and no failure of ours.
    assert [r for r in caplog.records if r.name.startswith("gateway")] == []


async def test_who_leaves_the_organization_reads_no_more(fakes: Fakes, path: Path) -> None:
    async with _followed(fakes, path, OWNER) as (read, _):
        del fakes.auth.known[OWNER].organizations[ORG]
        fakes.auth.revoke(user_id=USER, organization_id=ORG)
        await _is_cut_off(read)


@pytest.mark.parametrize("which", [{"api_key_id": "another"}, {"api_key_id": KEY_ID}])
async def test_who_may_still_read_goes_on(fakes: Fakes, path: Path, which: dict[str, str]) -> None:
    async with _followed(fakes, path) as (read, more):
        # A right that has nothing to do with it.
        known = fakes.auth.known[KEY]
        known.caller = replace(known.caller, permissions=frozenset())
        fakes.auth.revoke(**which)
        more.set()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(read), 5)


async def test_a_credential_that_expires_reads_no_more(
    fakes: Fakes, path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_CONFIRM_SECONDS", 0.05)
    async with _followed(fakes, path) as (read, _):
        # Nobody tells; auth is asked again when its answer is old.
        del fakes.auth.known[KEY]
        served[0].authenticator.stand()
        await _is_cut_off(read)


async def test_when_the_watch_was_cut_everybody_is_asked_about(
    fakes: Fakes, path: Path, served: Served
) -> None:
    async with _followed(fakes, path) as (read, _):
        del fakes.auth.known[KEY]
        stand = effect_on(served[0])[1]
        stand()
        await _is_cut_off(read)
