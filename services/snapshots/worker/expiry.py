"""Uploaded contexts are for a build or a few; what is old goes."""

import asyncio
import logging
import random
from datetime import timedelta
from typing import Protocol

from obstore.exceptions import BaseError

log = logging.getLogger(__name__)
_EVERY_SECONDS = 3600.0


class Aging(Protocol):
    """What throws away what it holds."""

    async def expire(self, older_than: timedelta) -> int:
        """Delete what is so old; return how many there were."""
        ...


async def expire(contexts: Aging, keep: timedelta) -> None:
    """Delete old contexts for ever; a storage that is away is asked again the next time."""
    while True:
        try:
            gone = await contexts.expire(keep)
        except (BaseError, OSError) as away:
            log.warning("old build contexts could not be deleted: %s", type(away).__name__)
        else:
            if gone:
                log.info("deleted %s build contexts older than %s", gone, keep)
        # Workers that were started together need not do it together.
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.75, 1.25))
