"""RegionService over gRPC."""

from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from chassis.secrets import Repeatable
from ratoon.orgs.v1 import region_service_pb2 as pb
from ratoon.orgs.v1.region_service_pb2_grpc import RegionServiceServicer
from services.orgs.commands import custom_regions
from services.orgs.convert.regions import (
    addresses_from_proto,
    machine_from_proto,
    machine_to_proto,
    region_to_proto,
    secrets_to_proto,
)
from services.orgs.domain import uuid_of
from services.orgs.domain.regions import RegionUrlUnset, fit_addresses
from services.orgs.queries import regions as queries
from services.orgs.servicer.region_creation import RegionCreation

Context = ServicerContext[Any, Any]


class RegionServicer(RegionServiceServicer):
    def __init__(self, database: Database, repeatable: Repeatable) -> None:
        self._pool = database.pool
        self._sessions = database.sessions
        self._creation = RegionCreation(database.sessions, repeatable)

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

    async def GetRegion(
        self, request: pb.GetRegionRequest, context: Context
    ) -> pb.GetRegionResponse:
        id_ = uuid_of(request.organization_id)
        row = await queries.own(self._pool, id_, request.region_id)
        return pb.GetRegionResponse(region=region_to_proto(row))

    async def CreateRegion(
        self, request: pb.CreateRegionRequest, context: Context
    ) -> pb.CreateRegionResponse:
        return await self._creation.create(request, current_caller.get().user_id)

    async def UpdateRegion(
        self, request: pb.UpdateRegionRequest, context: Context
    ) -> pb.UpdateRegionResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        addresses = fit_addresses(addresses_from_proto(request))
        async with self._sessions.begin() as session:
            await custom_regions.change(session, id_, user_id, request.region_id, addresses)
        return pb.UpdateRegionResponse()

    async def DeleteRegion(
        self, request: pb.DeleteRegionRequest, context: Context
    ) -> pb.DeleteRegionResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await custom_regions.delete(session, id_, user_id, request.region_id)
        return pb.DeleteRegionResponse()

    async def RegenerateRegionCredential(
        self, request: pb.RegenerateRegionCredentialRequest, context: Context
    ) -> pb.RegenerateRegionCredentialResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        machine = machine_from_proto(request.kind)
        if machine is None:
            raise RegionUrlUnset("no region has such a machine")
        async with self._sessions.begin() as session:
            secret = await custom_regions.regenerate(
                session, id_, user_id, request.region_id, machine
            )
        return pb.RegenerateRegionCredentialResponse(secrets=secrets_to_proto({machine: secret}))

    async def ResolveRegionCredential(
        self, request: pb.ResolveRegionCredentialRequest, context: Context
    ) -> pb.ResolveRegionCredentialResponse:
        region_id, machine = await queries.of_secret(self._pool, request.digest)
        return pb.ResolveRegionCredentialResponse(
            region_id=region_id, kind=machine_to_proto(machine)
        )
