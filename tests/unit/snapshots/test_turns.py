"""Turns of organizations."""

import asyncio

from services.snapshots.servicer.turns import Turns


async def test_one_organization_waits_for_itself_and_nobody_else_does() -> None:
    turns, inside = Turns(2), list[str]()
    leave = asyncio.Event()

    async def visit(organization: str) -> None:
        async with turns.of(organization):
            inside.append(organization)
            await leave.wait()

    visits = [asyncio.create_task(visit("a")) for _ in range(5)]
    visits.append(asyncio.create_task(visit("b")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert inside == ["a", "a", "b"]
    visits[4].cancel()
    leave.set()
    await asyncio.gather(*visits, return_exceptions=True)
    assert inside == ["a", "a", "b", "a", "a"]
    assert turns._running == {}
