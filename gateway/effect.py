"""Changes of limits that hold by the time they are answered."""

import logging

import grpc

from gateway.call import Call
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb

log = logging.getLogger(__name__)


async def take_effect(call: Call, organization_id: str) -> None:
    """Have snapshots take the limits to heart that orgs has changed.

    If it cannot now, it hears of them by orgs' event as soon as it can.
    """
    request = pb.ApplyLimitsRequest(organization_id=organization_id)
    try:
        await call.rpc(call.services.snapshots.ApplyLimits, request)
    except grpc.aio.AioRpcError as failure:
        extra = {"requestId": call.visit.request_id, "organizationId": organization_id}
        log.warning("limits take effect later: %s", failure.code().name, extra=extra)
