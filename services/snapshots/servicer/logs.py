"""The log of a build, to be read while it grows."""

from collections.abc import AsyncIterator
from uuid import UUID

from chassis.db import Pool
from chassis.grpc.feed import wait
from chassis.listen import Wakeups
from services.snapshots.commands.builds import BUILD_LOG
from services.snapshots.domain import BuildNotFound
from services.snapshots.queries import builds, one
from services.snapshots.queries.rows import BUILD_ID, ORGANIZATION_ID

# For what nobody told of; a notification may be lost together with its connection.
_SAFETY_SECONDS = 10.0


class Logs:
    """Any number may read the same log at once; who waits holds no connection."""

    def __init__(self, pool: Pool, wakeups: Wakeups) -> None:
        self._pool, self._wakeups = pool, wakeups

    async def read(
        self, organization_id: UUID, ref: str, *, offset: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """Yield nothing, for the start, and then the log after `offset`; to its end if `follow`.

        Refused with SNAPSHOT_NOT_FOUND or BUILD_NOT_FOUND.
        """
        row = await one.get(self._pool, organization_id, ref)
        build_id = row[BUILD_ID]
        if build_id is None or row[ORGANIZATION_ID] != str(organization_id):
            raise BuildNotFound("the snapshot was not built from a Dockerfile", snapshot=row[0])
        yield b""
        with self._wakeups.on(BUILD_LOG) as woken:
            while True:
                woken.clear()
                # Asked before it is read: what was said before the end is then there.
                ended = not follow or await builds.has_ended(self._pool, UUID(row[0]), build_id)
                while piece := await builds.log_after(self._pool, build_id, offset):
                    offset += len(piece)
                    yield piece
                if ended:
                    return
                await wait(woken, _SAFETY_SECONDS)
