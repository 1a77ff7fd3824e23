"""OrganizationService over gRPC: what organizations may use."""

from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Pool, Sessions
from chassis.grpc.interceptors import current_caller
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceServicer
from services.orgs.commands import quotas
from services.orgs.convert.organizations import known_limits_to_proto, limits_to_proto
from services.orgs.convert.quotas import (
    changes_from_proto,
    region_quota_to_proto,
    share_from_proto,
)
from services.orgs.domain import uuid_of
from services.orgs.domain.quotas import RegionQuotaNotFound, check_class, has_class
from services.orgs.queries import organizations as queries
from services.orgs.queries import regions as region_queries

Context = ServicerContext[Any, Any]


class QuotaServicer(OrganizationServiceServicer):
    """The part of OrganizationService that deals with quotas."""

    _sessions: Sessions
    _pool: Pool

    async def GetLimits(
        self, request: pb.GetLimitsRequest, context: Context
    ) -> pb.GetLimitsResponse:
        id_ = uuid_of(request.organization_id)
        row = await queries.limits(self._pool, id_)
        return known_limits_to_proto(row, await region_queries.limits(self._pool, id_))

    async def GetQuotas(
        self, request: pb.GetQuotasRequest, context: Context
    ) -> pb.GetQuotasResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        limits = await queries.quotas_of_user(self._pool, user_id, id_)
        shares = await region_queries.quotas(self._pool, id_)
        return pb.GetQuotasResponse(
            limits=limits_to_proto(limits), regions=[region_quota_to_proto(s) for s in shares]
        )

    async def UpdateQuota(
        self, request: pb.UpdateQuotaRequest, context: Context
    ) -> pb.UpdateQuotaResponse:
        id_, changes = uuid_of(request.organization_id), changes_from_proto(request)
        async with self._sessions.begin() as session:
            await quotas.update_quota(session, id_, changes)
        return pb.UpdateQuotaResponse()

    async def CreateRegionQuota(
        self, request: pb.CreateRegionQuotaRequest, context: Context
    ) -> pb.CreateRegionQuotaResponse:
        check_class(request.sandbox_class)
        id_, region_id = uuid_of(request.quota.organization_id), request.quota.region_id
        async with self._sessions.begin() as session:
            share = share_from_proto(request.quota)
            await quotas.create_region_quota(session, id_, region_id, share)
            made = await region_queries.row_of_quota(session, id_, region_id)
        return pb.CreateRegionQuotaResponse(quota=region_quota_to_proto(made))

    async def UpdateRegionQuota(
        self, request: pb.UpdateRegionQuotaRequest, context: Context
    ) -> pb.UpdateRegionQuotaResponse:
        check_class(request.sandbox_class)
        id_, changes = uuid_of(request.organization_id), changes_from_proto(request)
        async with self._sessions.begin() as session:
            await quotas.update_region_quota(session, id_, request.region_id, changes)
        return pb.UpdateRegionQuotaResponse()

    async def GetRegionQuota(
        self, request: pb.GetRegionQuotaRequest, context: Context
    ) -> pb.GetRegionQuotaResponse:
        _check_kept(request.sandbox_class)
        id_ = uuid_of(request.organization_id)
        row = await region_queries.quota(self._pool, id_, request.region_id)
        return pb.GetRegionQuotaResponse(quota=region_quota_to_proto(row))

    async def DeleteRegionQuota(
        self, request: pb.DeleteRegionQuotaRequest, context: Context
    ) -> pb.DeleteRegionQuotaResponse:
        _check_kept(request.sandbox_class)
        id_ = uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await quotas.delete_region_quota(session, id_, request.region_id)
        return pb.DeleteRegionQuotaResponse()


def _check_kept(sandbox_class: str) -> None:
    if not has_class(sandbox_class):
        raise RegionQuotaNotFound("the organization has no share of this region for this class")
