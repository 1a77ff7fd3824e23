"""SnapshotAdminService over gRPC."""

from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Database, Pool
from ratoon.snapshots.v1 import snapshot_admin_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_admin_service_pb2_grpc import SnapshotAdminServiceServicer
from services.snapshots.commands.general import set_general
from services.snapshots.convert.snapshots import whole
from services.snapshots.domain import IdRequired, ImageRefInvalid
from services.snapshots.images.reference import InvalidReference, parse
from services.snapshots.queries import one
from services.snapshots.queries.images import is_referred_to
from services.snapshots.queries.one import uuid_from

Context = ServicerContext[Any, Any]


class AdminServicer(SnapshotAdminServiceServicer):
    """Serves administrators; `heavy` is for what reads a table through."""

    def __init__(self, database: Database, heavy: Pool) -> None:
        self._sessions = database.sessions
        self._heavy = heavy

    async def SetSnapshotGeneral(
        self, request: pb.SetSnapshotGeneralRequest, context: Context
    ) -> pb.SetSnapshotGeneralResponse:
        id_ = uuid_from(request.snapshot_id)
        if id_ is None:
            raise IdRequired("name the snapshot by its id")
        async with self._sessions.begin() as session:
            await set_general(session, id_, general=request.general)
            row = await one.by_id(session, id_)
        return pb.SetSnapshotGeneralResponse(snapshot=whole(row, None))

    async def CanCleanupImage(
        self, request: pb.CanCleanupImageRequest, context: Context
    ) -> pb.CanCleanupImageResponse:
        if not request.image_ref or "\0" in request.image_ref:
            raise ImageRefInvalid("name the image")
        try:
            image = parse(request.image_ref)
        except InvalidReference:
            # No image can bear such a name, but something made by hand may.
            names, digest = [request.image_ref.partition("@")[0]], ""
        else:
            names, digest = image.spellings(), image.digest or ""
        referred = await is_referred_to(self._heavy, names, digest)
        return pb.CanCleanupImageResponse(unused=not referred)
