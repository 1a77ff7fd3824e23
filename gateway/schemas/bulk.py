"""Shapes of what is done to many snapshots."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, StringConstraints

from gateway.schemas.base import NO_NUL, Answer, Asked, Text, iso
from ratoon.snapshots.v1 import bulk_job_pb2 as pb

_DATE = {"format": "date-time"}
# Longer texts are no ids, and 10,000 of these are no larger than a body may be.
_Id = Annotated[str, StringConstraints(max_length=64, pattern=NO_NUL)]
ActionName = Literal["activate", "deactivate", "remove"]
OutcomeName = Literal["waiting", "done", "unchanged", "refused"]
ACTIONS = {
    "activate": pb.BULK_ACTION_ACTIVATE,
    "deactivate": pb.BULK_ACTION_DEACTIVATE,
    "remove": pb.BULK_ACTION_REMOVE,
}
_ACTION_NAMES = {number: name for name, number in ACTIONS.items()}
_OUTCOMES = {
    number: name.removeprefix("BULK_OUTCOME_").lower() for name, number in pb.BulkOutcome.items()
}


class BulkSnapshots(Asked):
    action: ActionName = Field(description="What to do to each")
    ids: list[_Id] | None = Field(
        default=None, min_length=1, max_length=10_000, description="To these; or say a name"
    )
    name: Text | None = Field(
        default=None,
        min_length=1,
        description="To own ones whose name contains this, in any case; or say ids",
    )
    dry_run: bool = Field(
        default=False, description="Change nothing, say what would become of each"
    )


class BulkItem(Answer):
    id: str = Field(description="As it was given")
    name: str | None = Field(description="Null until its turn comes, or if it is not there")
    outcome: OutcomeName
    code: str | None = Field(description="Why it was refused, for programs; stable")


class BulkJob(Answer):
    id: str | None = Field(description="Null in a dry run")
    action: ActionName
    finished: bool
    total: int = Field(description="How many snapshots")
    waiting: int = Field(description="How many are still to come")
    done: int
    unchanged: int = Field(description="How many were so already, or on their way")
    refused: int
    created_at: Annotated[str | None, Field(json_schema_extra=_DATE)]
    finished_at: Annotated[str | None, Field(json_schema_extra=_DATE)]


class BulkJobPage(BulkJob):
    items: list[BulkItem] = Field(description="In the order in which they were given")
    page: int
    total_pages: int


class Item(msgspec.Struct, rename="camel"):
    """BulkItem, as it is encoded."""

    id: str
    name: str | None
    outcome: str
    code: str | None


class Job(msgspec.Struct, rename="camel"):
    """BulkJob, as it is encoded."""

    id: str | None
    action: str
    finished: bool
    total: int
    waiting: int
    done: int
    unchanged: int
    refused: int
    created_at: str | None
    finished_at: str | None


class JobPage(Job, rename="camel"):
    """BulkJobPage, as it is encoded."""

    items: list[Item]
    page: int
    total_pages: int


def job_from_proto(said: pb.BulkJob) -> Job:
    return Job(**_fields(said))


def page_from_proto(
    said: pb.BulkJob, items: list[pb.BulkItem], page: int, total_pages: int
) -> JobPage:
    shown = [
        Item(i.snapshot_id, i.name or None, _OUTCOMES[i.outcome], i.code or None) for i in items
    ]
    return JobPage(**_fields(said), items=shown, page=page, total_pages=total_pages)


def _fields(said: pb.BulkJob) -> dict[str, Any]:
    waiting = said.total - said.done - said.unchanged - said.refused
    return {
        "id": said.id or None,
        "action": _ACTION_NAMES[said.action],
        "finished": said.HasField("finish_time") or not said.id,
        "total": said.total,
        "waiting": waiting,
        "done": said.done,
        "unchanged": said.unchanged,
        "refused": said.refused,
        "created_at": iso(said.create_time) if said.id else None,
        "finished_at": iso(said.finish_time) if said.HasField("finish_time") else None,
    }
