"""Sends what waits to be sent: at once, again and again while the server does not take it, at last no more."""

import asyncio
import logging
from collections.abc import Callable

from chassis.db import Sessions
from chassis.grpc.feed import wait
from chassis.grpc.interceptors import unavailable
from chassis.listen import Wakeups
from chassis.process import unless_cancelled
from services.orgs.commands import mails
from services.orgs.commands.mails import CHANNEL, DueMail
from services.orgs.domain.invitations import Delivery
from services.orgs.mail.letter import letter
from services.orgs.mail.post import Post, said_of

log = logging.getLogger(__name__)
_AT_ONCE = 8
_LEASE_SECONDS = 60.0
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 5.0, 1_800.0
# A wake-up may be lost with the database's connection.
_SAFETY_SECONDS = 30.0
# How long an end waits for what has begun; less than whoever ends the process has patience.
_FINISH_SECONDS = 3.0


def back_off(attempts: int) -> float:
    """Return how many seconds after so many attempts the next one is made."""
    return min(_FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 20), _LAST_RETRY_SECONDS)


class Mailer:
    """Any number may run beside each other: a mail is claimed by one of them at a time."""

    def __init__(
        self,
        sessions: Sessions,
        wakeups: Wakeups,
        post: Post,
        delivery: Delivery,
        *,
        lease: float = _LEASE_SECONDS,
        retry_after: Callable[[int], float] = back_off,
    ) -> None:
        self._sessions = sessions
        self._wakeups = wakeups
        self._post = post
        self._delivery = delivery
        self._lease = lease
        self._retry_after = retry_after

    async def run(self) -> None:
        """Send for ever; what has begun when this is cancelled is finished, or it would be sent once more."""
        with self._wakeups.on(CHANNEL) as woken:
            while True:
                woken.clear()
                batch = asyncio.create_task(self._batch())
                try:
                    seconds = await asyncio.shield(batch)
                except asyncio.CancelledError:
                    await asyncio.wait({batch}, timeout=_FINISH_SECONDS)
                    batch.cancel()
                    raise
                await wait(woken, seconds)

    async def _batch(self) -> float:
        """Send some of what is due; return after how many seconds to look again, if nothing happens."""
        try:
            async with self._sessions.begin() as session:
                due = await mails.claim(session, most=_AT_ONCE, lease=self._lease)
                next_ = 0.0 if due else await mails.next_due(session)
            ended = await asyncio.gather(*(self._send(m) for m in due), return_exceptions=True)
            for failure in ended:
                if failure is not None:
                    raise failure
        except Exception as failure:
            unless_cancelled()
            if not unavailable(failure):
                raise
            log.warning("no mail can be sent now: %s", type(failure).__name__)
            return _SAFETY_SECONDS
        return _SAFETY_SECONDS if next_ is None else min(max(next_, 0.0), _SAFETY_SECONDS)

    async def _send(self, mail: DueMail) -> None:
        try:
            link = self._delivery.link(str(mail.invitation_id))
            await self._post.send(letter(mail, self._post.sender, link))
        except Exception as failure:  # noqa: BLE001 - whatever keeps this mail back must not keep back the others
            await self._put_off(mail, said_of(failure))
            return
        async with self._sessions.begin() as session:
            await mails.sent(session, mail)

    async def _put_off(self, mail: DueMail, error: str) -> None:
        seconds = self._retry_after(mail.attempts)
        async with self._sessions.begin() as session:
            given_up = await mails.postpone(session, mail, error, seconds)
        extra = {"mail": mail.id, "attempts": mail.attempts, "error": error}
        if given_up:
            log.error("a mail could not be sent and is given up", extra=extra)
        else:
            log.warning("a mail could not be sent; it will be tried again", extra=extra)
