"""Bringing a plan of processes up together, keeping it up, and taking it down in order."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from deploy.local.failures import Failure
from deploy.local.keeper import Keeper, State
from deploy.local.logs import rotate, tail
from deploy.local.process import Spec

_ROTATE_EVERY = 15.0


class Supervisor:
    """The processes of one installation."""

    def __init__(
        self, plan: Sequence[Spec], folder: Path, logs: Path, say: Callable[[str], None]
    ) -> None:
        self._logs = logs
        self._say = say
        self._change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keepers = {
            spec.name: Keeper(spec, folder, logs, say, self._note_change) for spec in plan
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._fast = asyncio.Event()
        self.stopping = asyncio.Event()
        self.healthy_since: float | None = None

    def watch_signals(self) -> None:
        """End in order on SIGINT, SIGTERM and the end of the terminal; the second one ends at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.ask_to_stop)

    def ask_to_stop(self) -> None:
        if self.stopping.is_set():
            self._say("stopping at once")
            self._fast.set()
            return
        self._say("stopping; once more to stop at once")
        self.stopping.set()

    async def boot(self) -> bool:
        """Start everything; return True when all is ready, False when asked to stop first."""
        keepers = self._keepers
        self._tasks = [asyncio.create_task(one.keep(keepers)) for one in keepers.values()]
        self._tasks.append(asyncio.create_task(self._rotate_for_ever()))
        all_ready = asyncio.ensure_future(_everyone(keepers.values()))
        stop = asyncio.ensure_future(self.stopping.wait())
        events: list[asyncio.Future[Any]] = [all_ready, stop]
        events += [one.trouble for one in keepers.values()]
        await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
        for task in (all_ready, stop):
            task.cancel()
        for one in keepers.values():
            if one.trouble.done():
                raise Failure(
                    f"{one.trouble.result()}; the end of its log ({one.log}):\n{tail(one.log)}"
                )
        if self.stopping.is_set():
            return False
        self.healthy_since = time.time()
        self._note_change()
        return True

    async def ready(self, *names: str) -> None:
        """Wait until these processes are ready."""
        await _everyone([self._keepers[name] for name in names])

    async def stop(self) -> None:
        """Stop everything, each after those that stand on it."""
        self.stopping.set()
        await asyncio.gather(
            *(one.stop(self._dependents(one), self._fast) for one in self._keepers.values())
        )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        states = [one.state for one in self._keepers.values()]
        if self.stopping.is_set():
            state = "stopping"
        elif self.healthy_since is None:
            state = "starting"
        else:
            well = all(one in (State.READY, State.DONE) for one in states)
            state = "healthy" if well else "degraded"
        return {
            "state": state,
            "healthySince": self.healthy_since,
            "processes": [one.describe() for one in self._keepers.values() if not one.spec.once],
        }

    async def settle(self, seconds: float) -> None:
        """Wait until all is healthy, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                while self.status()["state"] in ("starting", "degraded"):
                    await asyncio.shield(self._change)
        except TimeoutError:
            self._say(f"not healthy within {seconds:.0f} s, as somebody waited for")

    def _note_change(self) -> None:
        change, self._change = self._change, asyncio.get_running_loop().create_future()
        change.set_result(None)

    def _dependents(self, of: Keeper) -> list[Keeper]:
        return [one for one in self._keepers.values() if of.spec.name in one.spec.after]

    async def _rotate_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_ROTATE_EVERY)
            for path in self._logs.glob("*.log"):
                rotate(path)


async def _everyone(keepers: Iterable[Keeper]) -> None:
    for keeper in keepers:
        await keeper.ready.wait()
