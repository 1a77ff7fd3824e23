"""RegionService over gRPC."""

from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Database
from ratoon.orgs.v1 import region_service_pb2 as pb
from ratoon.orgs.v1.region_service_pb2_grpc import RegionServiceServicer
from services.orgs.convert.regions import region_to_proto
from services.orgs.domain import uuid_of
from services.orgs.queries import regions as queries

Context = ServicerContext[Any, Any]


class RegionServicer(RegionServiceServicer):
    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def ListSharedRegions(
        self, request: pb.ListSharedRegionsRequest, context: Context
    ) -> pb.ListSharedRegionsResponse:
        rows = await queries.shared_ones(self._pool)
        return pb.ListSharedRegionsResponse(regions=[region_to_proto(r) for r in rows])

    async def ListRegions(
        self, request: pb.ListRegionsRequest, context: Context
    ) -> pb.ListRegionsResponse:
        rows = await queries.of_organization(self._pool, uuid_of(request.organization_id))
        return pb.ListRegionsResponse(regions=[region_to_proto(r) for r in rows])
