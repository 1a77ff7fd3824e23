"""Keeping one process of the plan alive: started in its turn, restarted with back-off, stopped in its turn."""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.local.failures import Failure
from deploy.local.process import Running, Spec, describe_end

# Deaths within the window that make a crash loop; it is reported, and tried again at the slowest pace.
LOOP_DEATHS = 5
LOOP_WINDOW = 60.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
# A process that was ready for so long starts afresh with the shortest pause.
STEADY = 20.0


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    RESTARTING = "restarting"
    CRASH_LOOP = "crash-loop"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Keeper:
    """One process of the plan through all its starts."""

    def __init__(
        self,
        spec: Spec,
        folder: Path,
        logs: Path,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.ready = asyncio.Event()
        self.stopped = asyncio.Event()
        # Set to a sentence when the process cannot be brought up at the first start.
        self.trouble: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.log = logs / f"{spec.name}.log"
        self._notify = folder / f"notify-{spec.name}"
        self._say = say
        self._changed = changed
        self._running: Running | None = None
        self._stop = asyncio.Event()
        self._deaths: deque[float] = deque(maxlen=LOOP_DEATHS)
        self._pause = FIRST_PAUSE
        self._restarts = 0
        self._last_end = ""
        self._since = time.time()

    async def keep(self, others: dict[str, "Keeper"]) -> None:
        """Run the process, after those it stands on, until `stop` is called."""
        try:
            if not await self._unless_stopped(
                _all_ready([others[name] for name in self.spec.after])
            ):
                return
            while not self._stop.is_set() and await self._one_life():
                if not await self._unless_stopped(asyncio.sleep(self._pause_now())):
                    return
        finally:
            self.stopped.set()

    async def stop(self, dependents: list["Keeper"], fast: asyncio.Event) -> None:
        """Stop the process once those that stand on it have stopped; at once when `fast` is set."""
        for dependent in dependents:
            await dependent.stopped.wait()
        self._stop.set()
        running = self._running
        if running is not None and not running.ended.done():
            self._become(State.STOPPING)
            await self._end(running, fast)
        await self.stopped.wait()
        if self.state is not State.DONE:
            self._become(State.STOPPED)

    def describe(self) -> dict[str, Any]:
        running = self._running
        return {
            "name": self.spec.name,
            "state": str(self.state),
            "pid": running.pid if running is not None and not running.ended.done() else None,
            "restarts": self._restarts,
            "since": round(self._since, 3),
            "lastEnd": self._last_end or None,
            "metrics": self.spec.metrics or None,
        }

    async def _one_life(self) -> bool:
        """Run the process once; return whether it is to be started again."""
        self._become(State.STARTING)
        began = time.monotonic()
        try:
            if self.spec.before is not None:
                await asyncio.to_thread(self.spec.before)
            if self._stop.is_set():
                return False
            self._running = running = Running(self.spec, self.log, self._notify)
        except (OSError, Failure) as refused:
            return self._died(f"cannot be started: {refused}", 0.0)
        ready = asyncio.ensure_future(running.ready.wait())
        events: list[asyncio.Future[Any]] = [ready, running.ended]
        await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.ready.is_set() and not running.ended.done():
            self._become(State.READY)
            self._say(f"{self.spec.name} is ready ({time.monotonic() - began:.1f} s)")
            self.ready.set()
        ready_at = time.monotonic()
        code = await running.ended
        self.ready.clear()
        if self.spec.once and code == 0:
            self._become(State.DONE)
            self.ready.set()
            return False
        if self._stop.is_set():
            return False
        return self._died(
            describe_end(code), time.monotonic() - ready_at if running.ready.is_set() else 0.0
        )

    def _died(self, how: str, steady_for: float) -> bool:
        self._last_end = how
        self._deaths.append(time.monotonic())
        if steady_for >= STEADY:
            self._pause = FIRST_PAUSE
        in_loop = len(self._deaths) == LOOP_DEATHS and (
            self._deaths[-1] - self._deaths[0] < LOOP_WINDOW
        )
        if (self.spec.once or in_loop) and not self.trouble.done():
            self.trouble.set_result(f"{self.spec.name} ended with {how}")
        if self.spec.once:
            self._become(State.FAILED)
            return False
        self._restarts += 1
        if in_loop:
            self._pause = LONGEST_PAUSE
        self._become(State.CRASH_LOOP if in_loop else State.RESTARTING)
        loop = f", {LOOP_DEATHS} times within {LOOP_WINDOW:.0f} s: a crash loop" if in_loop else ""
        self._say(
            f"{self.spec.name} ended with {how}{loop}; next start in {self._pause:.1f} s; its log: {self.log}"
        )
        return True

    def _pause_now(self) -> float:
        pause = self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return pause

    async def _end(self, running: Running, fast: asyncio.Event) -> None:
        running.signal(self.spec.kill_signal if fast.is_set() else self.spec.stop_signal)
        hurry = asyncio.ensure_future(fast.wait())
        waits: list[asyncio.Future[Any]] = [running.ended, hurry]
        if fast.is_set():
            waits.remove(hurry)
        await asyncio.wait(waits, timeout=self.spec.patience, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not running.ended.done():
            self._say(f"{self.spec.name} did not stop in time: ended by force")
            running.signal(self.spec.kill_signal)
            await asyncio.wait([running.ended], timeout=5)
        if not running.ended.done():
            running.signal(signal.SIGKILL)
            await running.ended

    async def _unless_stopped(self, what: Any) -> bool:
        """Await `what`; return False when the order to stop came first."""
        work = asyncio.ensure_future(what)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in (work, stop):
            task.cancel()
        return not self._stop.is_set()

    def _become(self, state: State) -> None:
        self.state = state
        self._since = time.time()
        self._changed()


async def _all_ready(keepers: list[Keeper]) -> None:
    for keeper in keepers:
        await keeper.ready.wait()
