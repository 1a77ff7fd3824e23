"""A registry behind a bad wire: what passes is weathered, what stays ends with the right word, and nothing wrong is kept."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from tests.images import image
from tests.integration.snapshots.images.scripted import (
    Reply,
    Script,
    ScriptedRegistry,
    altered,
    broken_off,
    stalled,
    trickled,
)
from tests.integration.snapshots.worker.house import QUICK, TIMEOUTS, House, Organization

HURRIED = replace(TIMEOUTS, silence=1.0, pace_window=1.0, slowest_pace=500)
# What a layer is answered with instead, and what is said when that never ends.
FAULTS: dict[str, tuple[Callable[[], Script | Reply], str]] = {
    "reset": (lambda: broken_off(1_000, reset=True), "REGISTRY_UNREACHABLE"),
    "truncated": (lambda: broken_off(1_000), "REGISTRY_UNREACHABLE"),
    "flipped": (lambda: altered(_flipped), "DIGEST_MISMATCH"),
    "storm of 429": (lambda: Reply(429), "REGISTRY_RATE_LIMITED"),
    "storm of 503": (lambda: Reply(503), "REGISTRY_ERROR"),
    "stall": (lambda: stalled(1_000), "REGISTRY_TIMEOUT"),
    "loris": (lambda: trickled(0.01), "REGISTRY_TIMEOUT"),
}


def _flipped(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1])


async def _ask(
    house: House, scripted: ScriptedRegistry, times: int
) -> dict[str, tuple[Organization, UUID]]:
    """Have images asked for, each by its own organization and with its own fault, at the same time."""
    asked = {}
    for number, (name, (fault, _)) in enumerate(FAULTS.items()):
        made, mine = image((60_000, 5_000), seed=900 + number), house.organization()
        scripted.serve(made, f"f{number}")
        layer = f"/blobs/{made.layers[0].digest}"
        scripted.instead(layer, *(fault() for _ in range(times)))
        asked[name] = (mine, await mine.create(f"{scripted.host}/app:f{number}"))
    return asked


async def test_what_passes_is_weathered(house: House, scripted: ScriptedRegistry) -> None:
    asked = await _ask(house, scripted, 1)
    async with house.worker(scripted.host, places=len(FAULTS), timeouts=HURRIED):
        await asyncio.gather(*(who.until(id_, "active", "error") for who, id_ in asked.values()))
    assert {name: await who.state(id_) for name, (who, id_) in asked.items()} == dict.fromkeys(
        FAULTS, "active"
    )
    await house.check_at_rest()


async def test_what_stays_ends_with_the_right_word(
    house: House, scripted: ScriptedRegistry
) -> None:
    asked, once = await _ask(house, scripted, 100), replace(QUICK, attempts=1)
    async with house.worker(scripted.host, places=len(FAULTS), timeouts=HURRIED, policy=once):
        ends = [who.until(id_, "active", "error") for who, id_ in asked.values()]
        rows = await asyncio.gather(*ends)
    said = {name: row.error_code for name, row in zip(asked, rows, strict=True)}
    assert said == {name: code for name, (_, code) in FAULTS.items()}
    assert all(row.error_reason and row.error_remedy for row in rows)
    await house.check_at_rest()
    assert house.files() == set()
