"""Turns: so many at once, the rest in order, nothing lost when somebody leaves."""

import asyncio

import pytest

from gateway.errors import Problem
from gateway.fairness import Turns


async def _waiting(turns: Turns, name: str, order: list[str], done: asyncio.Event) -> None:
    async with turns.of("o"):
        order.append(name)
        await done.wait()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_come_in_order() -> None:
    turns, order = Turns(1, 10), list[str]()
    ends = [asyncio.Event() for _ in range(3)]
    tasks = [asyncio.create_task(_waiting(turns, str(n), order, ends[n])) for n in range(3)]
    for n in range(3):
        await _settle()
        assert order == [str(i) for i in range(n + 1)]
        ends[n].set()
    await asyncio.gather(*tasks)
    assert turns._lanes == {}


async def test_while_somebody_else_is_there_each_has_one_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("gateway.fairness.time.monotonic", lambda: now)
    turns, order = Turns(3, 10), list[str]()
    ends = [asyncio.Event() for _ in range(6)]
    turns.seen("other")
    turns.seen("o")
    tasks = [asyncio.create_task(_waiting(turns, str(n), order, ends[n])) for n in range(6)]
    await _settle()
    assert order == ["0"]
    now += 0.9
    ends[0].set()
    await _settle()
    assert order == ["0", "1"]
    now += 0.2
    ends[1].set()
    await _settle()
    assert order == ["0", "1", "2", "3", "4"]
    turns.seen("other")
    for end in ends[2:4]:
        end.set()
    await _settle()
    assert order == ["0", "1", "2", "3", "4"]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
    assert turns._lanes == {}


async def test_subjects_do_not_wait_for_each_other() -> None:
    turns = Turns(1, 0)
    async with turns.of("a"), turns.of("b"):
        with pytest.raises(Problem) as refused:
            await turns.take("a")
    assert refused.value.status == 429


async def test_who_leaves_the_line_is_passed_over() -> None:
    turns, order, end = Turns(1, 10), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(_waiting(turns, str(n), order, end)) for n in range(3)]
    await _settle()
    tasks[1].cancel()
    await _settle()
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["0", "2"]
    assert turns._lanes == {}


async def test_a_turn_given_to_who_is_leaving_goes_to_the_next() -> None:
    turns, order, end = Turns(1, 10), list[str](), asyncio.Event()
    await turns.take("o")
    tasks = [asyncio.create_task(_waiting(turns, str(n), order, end)) for n in range(2)]
    await _settle()
    # In the same moment: the turn is given to the first, and the first gives up.
    turns.give("o")
    tasks[0].cancel()
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["1"]
    assert turns._lanes == {}


async def test_leaving_and_ending_at_once_loses_no_turn() -> None:
    turns, order, end = Turns(1, 10), list[str](), asyncio.Event()
    await turns.take("o")
    tasks = [asyncio.create_task(_waiting(turns, str(n), order, end)) for n in range(2)]
    await _settle()
    tasks[0].cancel()
    turns.give("o")
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["1"]
    assert turns._lanes == {}
