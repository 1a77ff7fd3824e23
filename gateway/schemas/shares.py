"""Shapes of shares."""

from typing import Annotated, Literal

import msgspec
from pydantic import Field

from gateway.schemas.base import Answer, Asked, Moment, iso
from ratoon.snapshots.v1 import share_pb2 as pb
from ratoon.snapshots.v1 import snapshot_pb2

_DATE = {"format": "date-time"}
RightName = Literal["read", "use"]
RIGHTS: dict[str, snapshot_pb2.ShareRight.ValueType] = {
    "read": snapshot_pb2.SHARE_RIGHT_READ,
    "use": snapshot_pb2.SHARE_RIGHT_USE,
}
_NAMES = {number: name for name, number in RIGHTS.items()}


class PutSnapshotShare(Asked):
    rights: list[RightName] = Field(
        min_length=1, max_length=10, description="What it may do; use implies read"
    )
    expires_at: Annotated[Moment | None, Field(json_schema_extra=_DATE)] = Field(
        default=None, description="From when on it may not any more; by default until withdrawn"
    )


class SnapshotShare(Answer):
    organization_id: str = Field(description="The organization that it is shared with")
    rights: list[RightName]
    expires_at: Annotated[str | None, Field(json_schema_extra=_DATE)]
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]
    updated_at: Annotated[str, Field(json_schema_extra=_DATE)]


class EncodedShare(msgspec.Struct, rename="camel"):
    """SnapshotShare, as it is encoded."""

    organization_id: str
    rights: list[str]
    expires_at: str | None
    created_at: str
    updated_at: str


def share_from_proto(said: pb.Share) -> EncodedShare:
    return EncodedShare(
        organization_id=said.receiver_id,
        rights=right_names(said.rights),
        expires_at=iso(said.expire_time) if said.HasField("expire_time") else None,
        created_at=iso(said.create_time),
        updated_at=iso(said.update_time),
    )


def right_names(numbers: object) -> list[str]:
    return [_NAMES[number] for number in numbers]  # type: ignore[attr-defined]  # a container of protobuf
