"""Requests for pages into what is wanted."""

from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from services.snapshots.domain import PageInvalid
from services.snapshots.queries.page import Sort, Wanted

_PAGE_MOST, _SKIP_MOST = 200, 2**40


def page_from_proto(request: pb.ListSnapshotsRequest) -> Wanted:
    if not 1 <= request.page_size <= _PAGE_MOST or not 0 <= request.skip <= _SKIP_MOST:
        raise PageInvalid(f"a page holds 1 to {_PAGE_MOST} snapshots", most=str(_PAGE_MOST))
    if request.sort not in pb.SnapshotSort.values():
        raise PageInvalid("this is nothing to sort by")
    return Wanted(
        limit=request.page_size,
        skip=request.skip,
        sort=Sort(request.sort) if request.sort else Sort.LAST_USED,
        ascending=request.ascending,
        name_contains=request.name_contains,
        source_sandbox_id=request.source_sandbox_id,
    )
