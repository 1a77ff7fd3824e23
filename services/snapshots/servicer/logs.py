"""The log of a build, to be read while it grows."""

from collections.abc import AsyncIterator
from uuid import UUID

from chassis.db import Pool
from chassis.grpc.feed import wait
from chassis.listen import Wakeups
from services.snapshots.commands.builds import BUILD_LOG
from services.snapshots.domain import BuildNotFound
from services.snapshots.queries import builds, one
from services.snapshots.queries.rows import ORGANIZATION_ID

# For what nobody told of; a notification may be lost together with its connection.
_SAFETY_SECONDS = 10.0


class Logs:
    """Any number may read the same log at once; who waits holds no connection."""

    def __init__(self, pool: Pool, wakeups: Wakeups) -> None:
        self._pool, self._wakeups = pool, wakeups

    async def read(
        self, organization_id: UUID, ref: str, *, version: int, offset: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """Yield nothing, for the start, and then the log after `offset`; to its end if `follow`.

        Refused as StreamBuildLog says.
        """
        snapshot_id, build_id = await self._meant(organization_id, ref, version)
        yield b""
        with self._wakeups.on(BUILD_LOG) as woken:
            while True:
                woken.clear()
                # Asked before it is read: what was said before the end is then there.
                ended = not follow or await builds.has_ended(self._pool, snapshot_id, build_id)
                while piece := await builds.log_after(self._pool, build_id, offset):
                    offset += len(piece)
                    yield piece
                if ended:
                    return
                await wait(woken, _SAFETY_SECONDS)

    async def _meant(self, organization_id: UUID, ref: str, version: int) -> tuple[UUID, UUID]:
        """Return the snapshot, and the build whose log is asked for."""
        row = await one.get(self._pool, organization_id, ref)
        snapshot_id, build_id = UUID(row[0]), None
        if row[ORGANIZATION_ID] == str(organization_id):
            if version:
                build_id = await builds.of_version(self._pool, snapshot_id, version)
            else:
                build_id = await builds.shown(self._pool, snapshot_id)
        if build_id is None:
            raise BuildNotFound("this was not built from a Dockerfile", snapshot=row[0])
        return snapshot_id, build_id
