"""Shares: requests into terms, rows into messages."""

from typing import Any
from uuid import UUID

from chassis.grpc.wire import from_timestamp, to_timestamp
from ratoon.snapshots.v1 import share_pb2, share_service_pb2, snapshot_pb2
from services.snapshots.commands.shares import Terms
from services.snapshots.domain import (
    Right,
    ShareExpiryInvalid,
    ShareReceiverInvalid,
    ShareRightsInvalid,
    may_use,
    rights,
)
from services.snapshots.queries.one import uuid_from

_RIGHTS = {Right.READ: snapshot_pb2.SHARE_RIGHT_READ, Right.USE: snapshot_pb2.SHARE_RIGHT_USE}
_NAMED = {number: right for right, number in _RIGHTS.items()}


def terms_from_proto(request: share_service_pb2.PutShareRequest) -> Terms:
    """Return what is to be shared with whom. Refused with SHARE_…_INVALID."""
    unknown = [number for number in request.rights if number not in _NAMED]
    if unknown:
        raise ShareRightsInvalid("there are two rights: read and use")
    use = may_use(_NAMED[number] for number in request.rights)
    expires = None
    if request.HasField("expire_time"):
        try:
            expires = from_timestamp(request.expire_time)
        except (ValueError, OverflowError):
            raise ShareExpiryInvalid("the moment is out of range") from None
    return Terms(receiver_from(request.receiver_id), use, expires)


def receiver_from(written: str) -> UUID:
    receiver = uuid_from(written)
    if receiver is None:
        raise ShareReceiverInvalid("name the organization by its id")
    return receiver


def share_to_proto(row: Any) -> share_pb2.Share:
    """Return a share of queries.shares.COLUMNS."""
    receiver, use, expires, revision, created, updated = row[:6]
    return share_pb2.Share(
        receiver_id=str(receiver),
        create_time=to_timestamp(created),
        update_time=to_timestamp(updated),
        rights=rights_to_proto(use),
        expire_time=to_timestamp(expires),
        revision=revision,
    )


def rights_to_proto(use: bool) -> list[snapshot_pb2.ShareRight.ValueType]:
    return [_RIGHTS[right] for right in rights(use)]
