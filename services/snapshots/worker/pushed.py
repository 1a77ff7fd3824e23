"""What was pushed to the installation's own registry long ago goes: its snapshots have what they need in the store."""

import asyncio
import logging
import random
import time
from datetime import timedelta

from chassis.db import Sessions
from services.snapshots.domain.grants import project_of
from services.snapshots.queries.grants import may_push
from services.snapshots.registries.pushed import Pushed
from services.snapshots.worker.outages import brief, is_outage

log = logging.getLogger(__name__)
_EVERY_SECONDS = 3600.0


async def forget_for_ever(sessions: Sessions, pushed: Pushed, keep: timedelta) -> None:
    while True:
        # Workers that were started together need not do it together.
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.75, 1.25))
        try:
            await forget(sessions, pushed, keep)
        except Exception as error:
            if not (is_outage(error) or isinstance(error, OSError)):
                raise
            log.warning("what was pushed cannot be looked after: %s", brief(error))


async def forget(sessions: Sessions, pushed: Pushed, keep: timedelta) -> int:
    """Remove projects that were not pushed to for so long, and that nobody may push to now; return how many bytes."""
    before = time.time() - keep.total_seconds()
    for organization_id in await asyncio.to_thread(pushed.projects, before):
        async with sessions.begin() as session:
            busy = await may_push(session, organization_id)
        if not busy:
            await asyncio.to_thread(pushed.remove, project_of(organization_id))
    gone = await asyncio.to_thread(pushed.sweep, before)
    if gone:
        log.info("removed what was pushed long ago", extra={"bytes": gone})
    return gone
