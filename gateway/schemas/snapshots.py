"""Shapes of snapshots."""

from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from gateway.schemas.base import Amount, Answer, Asked, LongText, Text, encoded, iso
from gateway.schemas.shares import RightName, right_names
from ratoon.snapshots.v1 import snapshot_pb2 as pb

StateName = Literal[
    "building",
    "pending",
    "pulling",
    "snapshotting",
    "active",
    "inactive",
    "error",
    "build_failed",
    "removing",
]
GIB = 2**30
_STATES = {
    number: name.removeprefix("SNAPSHOT_STATE_").lower()
    for name, number in pb.SnapshotState.items()
}


class CreateBuildInfo(Asked):
    dockerfile_content: LongText = Field(min_length=1, description="Text of the Dockerfile")
    context_hashes: list[Text] | None = Field(
        default=None, max_length=1_000, description="Digests of the contexts it copies from"
    )


class CreateSnapshot(Asked):
    name: Text = Field(description="Unique in the organization")
    image_name: Text | None = Field(
        default=None, description="Image with a tag other than latest, or a digest"
    )
    entrypoint: list[LongText] | None = Field(
        default=None,
        max_length=1_000,
        description="What a sandbox runs; by default what the image says",
    )
    cpu: Amount | None = Field(default=None, description="Virtual CPUs of a sandbox")
    gpu: Amount | None = Field(default=None, description="GPUs of a sandbox")
    memory: Amount | None = Field(default=None, description="Memory of a sandbox in GiB")
    disk: Amount | None = Field(default=None, description="Disk of a sandbox in GiB")
    build_info: CreateBuildInfo | None = Field(
        default=None, description="A build instead of an image"
    )
    region_id: Text | None = Field(
        default=None, description="Where it may be used; by default the default region"
    )


class SetSnapshotGeneralStatus(Asked):
    general: bool = Field(description="Visible to every organization")


class ProgressDto(Answer):
    phase: str = Field(
        description="resolving, downloading, building, storing, verifying or waiting"
    )
    bytes_done: int = Field(description="Bytes that are here")
    bytes_total: int = Field(description="Bytes in all; 0 while it is not known")
    attempt: int = Field(description="Which attempt this is, from 1")


class BuildInfo(Answer):
    dockerfile_content: str = Field(description="Text of the Dockerfile")
    context_hashes: list[str] = Field(description="Digests of the contexts it copies from")
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    updated_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    snapshot_ref: str = Field(description="The published name of these contents")


class SnapshotDto(Answer):
    id: str
    organization_id: str = Field(description="The organization that owns it")
    general: bool = Field(description="Visible to every organization")
    name: str
    image_name: str = Field(
        description="The image as asked for; empty when it was not made from one"
    )
    state: StateName
    size: float | None = Field(description="Size of the stored artifact in GiB")
    entrypoint: list[str] | None
    cpu: int
    gpu: int
    mem: int = Field(description="Memory in GiB")
    disk: int = Field(description="Disk in GiB")
    error_reason: str | None = Field(description="Why it failed, for people")
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    updated_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    last_used_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]
    region_ids: list[str] = Field(description="Where it may be used")
    initial_runner_id: str | None = Field(description="Always null: artifacts live in the store")
    ref: str | None = Field(description="The stored artifact by digest")
    source_sandbox_id: str | None = Field(description="The sandbox it was captured from")
    error_code: str | None = Field(description="Why it failed, for programs; stable")
    error_remedy: str | None = Field(description="What to do about the failure")
    progress: ProgressDto | None = Field(description="How far the work is, while there is any")
    shared_by: str | None = Field(
        description="The organization that shares it; null: it is one's own, or general"
    )
    share_rights: list[RightName] | None = Field(
        description="What one may do with it because it is shared"
    )
    version: int = Field(description="Number of the version that it stands for")
    use_count: int = Field(description="How many sandboxes started from it; 0 if it is another's")
    build_info: BuildInfo = Field(
        default=None,  # type: ignore[assignment]  # absent is what is meant, null is never said
        json_schema_extra={"description": "What it was built from; absent when it was not"},
    )


class PaginatedSnapshots(Answer):
    items: list[SnapshotDto]
    total: int = Field(description="How many there are on all pages")
    page: int
    total_pages: int


class Url(Answer):
    url: str


class Progress(msgspec.Struct, rename="camel"):
    phase: str
    bytes_done: int
    bytes_total: int
    attempt: int


class Built(msgspec.Struct, rename="camel"):
    """BuildInfo, as it is encoded."""

    dockerfile_content: str
    context_hashes: list[str]
    created_at: str
    updated_at: str
    snapshot_ref: str


class Snapshot(msgspec.Struct, rename="camel"):
    """SnapshotDto, as it is encoded."""

    id: str
    organization_id: str
    general: bool
    name: str
    image_name: str
    state: str
    size: float | None
    entrypoint: list[str] | None
    cpu: int
    gpu: int
    mem: int
    disk: int
    error_reason: str | None
    created_at: str
    updated_at: str
    last_used_at: str | None
    region_ids: list[str]
    ref: str | None
    source_sandbox_id: str | None
    error_code: str | None
    error_remedy: str | None
    progress: Progress | None
    shared_by: str | None
    share_rights: list[str] | None
    version: int
    use_count: int
    initial_runner_id: str | None = None
    build_info: Built | msgspec.UnsetType = msgspec.UNSET


class Page(msgspec.Struct, rename="camel"):
    """PaginatedSnapshots, as it is encoded."""

    items: list[msgspec.Raw]
    total: int
    page: int
    total_pages: int


def snapshot_json(said: pb.Snapshot) -> msgspec.Raw:
    """Return a snapshot encoded; one that looks as it looked before costs a look-up instead of the mapping.

    Lists and polls show the same snapshots again and again. The key is all that is shown, so nothing can be stale.
    """
    return _remembered(said.SerializeToString())


@lru_cache(maxsize=4_096)
def _remembered(serialized: bytes) -> msgspec.Raw:
    return msgspec.Raw(encoded(snapshot_from_proto(pb.Snapshot.FromString(serialized))))


def snapshot_from_proto(said: pb.Snapshot) -> Snapshot:
    failure = said.failure if said.HasField("failure") else None
    return Snapshot(
        said.id,
        said.organization_id,
        said.general,
        said.name,
        said.image_ref,
        _STATES[said.state],
        said.size_bytes / GIB if said.HasField("size_bytes") else None,
        said.entrypoint[:] or None,
        said.cpu,
        said.gpu,
        said.memory,
        said.disk,
        failure.reason if failure else None,
        iso(said.create_time),
        iso(said.update_time),
        iso(said.last_use_time) if said.HasField("last_use_time") else None,
        said.region_ids[:],
        said.ref or None,
        said.source_sandbox_id or None,
        failure.code if failure else None,
        failure.remedy if failure else None,
        progress_from_proto(said.progress) if said.HasField("progress") else None,
        said.shared_by or None,
        right_names(said.share_rights) or None,
        said.version,
        said.use_count,
        build_info=_built(said.build) if said.HasField("build") else msgspec.UNSET,
    )


def _built(said: pb.BuildInfo) -> Built:
    return Built(
        said.dockerfile,
        said.context_hashes[:],
        iso(said.create_time),
        iso(said.update_time),
        said.ref,
    )


def progress_from_proto(said: pb.Progress) -> Progress:
    return Progress(said.phase, said.bytes_done, said.bytes_total, said.attempt)
