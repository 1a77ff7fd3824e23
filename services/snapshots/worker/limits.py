"""What orgs says about one organization, however long it takes to say it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

import grpc

from services.snapshots.domain import Limits, OrganizationGone
from services.snapshots.worker.tools import LargestImage

log = logging.getLogger(__name__)
_PAUSE_SECONDS = 1.0


def patient(limits_of: Callable[[str], Awaitable[Limits]]) -> LargestImage:
    """Ask again and again while orgs is away; the deadline of the pull is what ends that.

    So does the removal of the pull, when the organization is gone.
    """

    async def largest_image(organization_id: UUID) -> int:
        while True:
            try:
                return (await limits_of(str(organization_id))).max_snapshot_size
            except (grpc.aio.AioRpcError, OrganizationGone) as unknown:
                log.warning(
                    "limits are not known: %s", unknown, extra={"organizationId": organization_id}
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    return largest_image
