"""Shapes of versions."""

from typing import Annotated, Literal

import msgspec
from pydantic import Field

from gateway.schemas.base import Answer, Asked, Text, iso
from gateway.schemas.snapshots import (
    GIB,
    CreateBuildInfo,
    Progress,
    ProgressDto,
    progress_from_proto,
)
from ratoon.snapshots.v1 import version_pb2 as pb

VersionStateName = Literal[
    "pending",
    "building",
    "pulling",
    "active",
    "inactive",
    "error",
    "superseded",
    "cancelled",
]
_STATES = {
    number: name.removeprefix("VERSION_STATE_").lower() for name, number in pb.VersionState.items()
}


class SetSnapshotImage(Asked):
    image_name: Text | None = Field(
        default=None, description="Image with a tag other than latest, or a digest"
    )
    build_info: CreateBuildInfo | None = Field(
        default=None, description="A build instead of an image"
    )


class SnapshotVersion(Answer):
    number: int = Field(description="From 1")
    snapshot_id: str
    image_name: str = Field(
        description="The image as asked for; empty when it was not made from one"
    )
    state: VersionStateName
    current: bool = Field(description="The snapshot stands for it")
    ref: str | None = Field(description="The artifact by digest")
    digest: str | None = Field(description="Digest of its manifest")
    size: float | None = Field(description="Size of the artifact in GiB")
    stored: bool = Field(
        description="It is in the store; if not, going back to it fetches it again by its digest, or builds it again"
    )
    error_code: str | None = Field(description="Why it failed, for programs; stable")
    error_reason: str | None = Field(description="Why it failed, for people")
    error_remedy: str | None = Field(description="What to do about the failure")
    progress: ProgressDto | None = Field(description="How far the work is, while there is any")
    build_ref: str | None = Field(
        description="The published name of what it was built from; null: it was not built"
    )
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    created_by: str | None = Field(description="Who asked for it, if that is known")


class EncodedVersion(msgspec.Struct, rename="camel"):
    """SnapshotVersion, as it is encoded."""

    number: int
    snapshot_id: str
    image_name: str
    state: str
    current: bool
    ref: str | None
    digest: str | None
    size: float | None
    stored: bool
    error_code: str | None
    error_reason: str | None
    error_remedy: str | None
    progress: Progress | None
    build_ref: str | None
    created_at: str
    created_by: str | None


def version_from_proto(said: pb.Version) -> EncodedVersion:
    failure = said.failure if said.HasField("failure") else None
    return EncodedVersion(
        number=said.number,
        snapshot_id=said.snapshot_id,
        image_name=said.image_ref,
        state=_STATES[said.state],
        current=said.current,
        ref=said.ref or None,
        digest=said.ref.rpartition("@")[2] or None,
        size=said.size_bytes / GIB if said.HasField("size_bytes") else None,
        stored=said.stored,
        error_code=failure.code if failure else None,
        error_reason=failure.reason if failure else None,
        error_remedy=failure.remedy if failure else None,
        progress=progress_from_proto(said.progress) if said.HasField("progress") else None,
        build_ref=said.build_ref or None,
        created_at=iso(said.create_time),
        created_by=said.created_by or None,
    )
