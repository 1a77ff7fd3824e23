"""Delivers messages: at once, again and again while an endpoint does not take them, at last no more."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from chassis.db import Sessions
from chassis.grpc.feed import wait
from chassis.grpc.interceptors import unavailable
from chassis.listen import Wakeups
from chassis.process import unless_cancelled
from chassis.sealing import KeyRing
from services.orgs.commands import sealed
from services.orgs.commands.webhooks import deliveries
from services.orgs.commands.webhooks.deliveries import Due, Room
from services.orgs.commands.webhooks.messages import CHANNEL
from services.orgs.domain.webhooks import Outcome, pause_after
from services.orgs.webhooks.sender import Sender
from services.orgs.webhooks.signing import headers_for

log = logging.getLogger(__name__)
# So many organizations must be slow together before others wait: who has many endpoints has no more places for it.
_AT_ONCE, _OF_ORGANIZATION, _EACH = 256, 16, 4
# Longer than an attempt takes and is written down.
_LEASE_SECONDS = 25.0
# A wake-up may be lost with the database's connection.
_SAFETY_SECONDS = 30.0
# How long an end waits for what has begun; less than whoever ends the process has patience.
_FINISH_SECONDS = 3.0
_SOON_SECONDS = 0.05
_JITTER = 0.1


def back_off(attempts: int) -> float | None:
    """Return how many seconds after so many failed attempts the next one is made; None: none is."""
    pause = pause_after(attempts)
    return None if pause is None else pause * random.uniform(1 - _JITTER, 1 + _JITTER)


class Deliverer:
    """Any number may run beside each other: a delivery is claimed by one of them at a time.

    Of one endpoint, and of one organization, only a few are under way at once, so that a slow one keeps nobody back.
    """

    def __init__(
        self,
        sessions: Sessions,
        wakeups: Wakeups,
        sender: Sender,
        ring: KeyRing,
        *,
        lease: float = _LEASE_SECONDS,
        pause: Callable[[int], float | None] = back_off,
    ) -> None:
        self._sessions = sessions
        self._wakeups = wakeups
        self._sender = sender
        self._ring = ring
        self._lease = lease
        self._pause = pause
        self._running: set[asyncio.Task[None]] = set()
        self._under_way: Counter[UUID] = Counter()
        self._of_holder: Counter[UUID] = Counter()
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Deliver for ever; what has begun when this is cancelled is finished, if it is quick."""
        with self._wakeups.on(CHANNEL) as self._woken:
            try:
                while True:
                    self._woken.clear()
                    await wait(self._woken, await self._start_due())
            finally:
                if self._running:
                    await asyncio.wait(self._running, timeout=_FINISH_SECONDS)
                for task in self._running:
                    task.cancel()
                await self._sender.close()

    async def _start_due(self) -> float:
        """Start what is due and has room; return after how many seconds to look again, if nothing happens."""
        room = _AT_ONCE - len(self._running)
        if room <= 0:
            return _SAFETY_SECONDS
        try:
            async with self._sessions.begin() as session:
                places = Room(_EACH, _OF_ORGANIZATION, room)
                due = await deliveries.claim(session, self._under_way, places, lease=self._lease)
                next_ = None if due else await deliveries.next_due(session, *self._full())
        except Exception as failure:
            unless_cancelled()
            if not unavailable(failure):
                raise
            log.warning("no webhook can be delivered now: %s", type(failure).__name__)
            return _SAFETY_SECONDS
        for one in due:
            self._start(one)
        if due:
            return 0.0
        # What is due and was not given is being taken by somebody else at this moment.
        return _SAFETY_SECONDS if next_ is None else min(max(next_, _SOON_SECONDS), _SAFETY_SECONDS)

    def _full(self) -> tuple[list[UUID], list[UUID]]:
        """Return the endpoints, and the organizations, that have no room."""
        endpoints = [id_ for id_, n in self._under_way.items() if n >= _EACH]
        return endpoints, [id_ for id_, n in self._of_holder.items() if n >= _OF_ORGANIZATION]

    def _start(self, due: Due) -> None:
        counted = ((self._under_way, due.endpoint_id), (self._of_holder, due.holder))
        for counter, id_ in counted:
            counter[id_] += 1
        task = asyncio.create_task(self._deliver(due))
        self._running.add(task)

        def end(_: asyncio.Task[None]) -> None:
            self._running.discard(task)
            for counter, id_ in counted:
                counter[id_] -= 1
                if not counter[id_]:
                    del counter[id_]
            self._woken.set()

        task.add_done_callback(end)

    async def _deliver(self, due: Due) -> None:
        """Try once and write down what came of it; what cannot be written down is tried again after the lease."""
        began = datetime.now(UTC)
        try:
            outcome = await self._sender.send(due.url, due.payload, self._headers(due, began))
            async with self._sessions.begin() as session:
                pause = self._pause(due.attempts)
                disabled = await deliveries.ended(session, due, began, outcome, pause)
        except Exception as failure:  # noqa: BLE001 - one delivery must not end the others
            unless_cancelled()
            log.warning("a webhook's delivery is left to its lease: %s", type(failure).__name__)
            return
        _say(due, outcome)
        if disabled is not None:
            extra = {"endpoint": str(due.endpoint_id), "reason": disabled.value}
            log.warning("a webhook endpoint was disabled", extra=extra)

    def _headers(self, due: Due, now: datetime) -> dict[str, str]:
        kept = (due.secret, due.previous_secret)
        secrets = [sealed.webhook_secret(self._ring, due.endpoint_id, k) for k in kept if k]
        return headers_for(due.message_id, due.payload, secrets, now)


def _say(due: Due, outcome: Outcome) -> None:
    if outcome.failure is not None:
        extra = {
            "message": due.message_id,
            "endpoint": str(due.endpoint_id),
            "attempts": due.attempts,
            "status": outcome.status,
            "error": outcome.failure.value,
        }
        # `message` is a word that log records keep for themselves.
        log.info("a webhook was not taken", extra={"webhook": extra})
