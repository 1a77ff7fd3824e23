"""OrganizationService over gRPC: what an organization is called and how it is set up."""

from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Pool, Sessions
from chassis.grpc.interceptors import current_caller
from chassis.sealing import KeyRing
from ratoon.orgs.v1 import organization_pb2
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceServicer
from services.orgs.commands import sealed, settings
from services.orgs.convert.organizations import organization_to_proto
from services.orgs.domain import uuid_of
from services.orgs.domain.telemetry import experimental, telemetry
from services.orgs.queries import organizations as queries

Context = ServicerContext[Any, Any]


class SettingsServicer(OrganizationServiceServicer):
    """The part of OrganizationService that deals with settings."""

    _sessions: Sessions
    _pool: Pool
    _ring: KeyRing

    async def UpdateOrganization(
        self, request: pb.UpdateOrganizationRequest, context: Context
    ) -> pb.UpdateOrganizationResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            changed = await settings.update(session, id_, me, request)
            row = await queries.row_of(session, changed)
        return pb.UpdateOrganizationResponse(organization=organization_to_proto(row))

    async def SetOtelConfig(
        self, request: pb.SetOtelConfigRequest, context: Context
    ) -> pb.SetOtelConfigResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        wanted = telemetry(request.config.endpoint, request.config.headers)
        async with self._sessions.begin() as session:
            await settings.set_telemetry(session, id_, me, request, wanted, self._ring)
        return pb.SetOtelConfigResponse()

    async def DeleteOtelConfig(
        self, request: pb.DeleteOtelConfigRequest, context: Context
    ) -> pb.DeleteOtelConfigResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await settings.delete_telemetry(session, id_, me, request)
        return pb.DeleteOtelConfigResponse()

    async def GetOtelConfig(
        self, request: pb.GetOtelConfigRequest, context: Context
    ) -> pb.GetOtelConfigResponse:
        id_ = uuid_of(request.organization_id)
        endpoint, kept = await queries.telemetry(self._pool, id_)
        assert id_ is not None
        config = organization_pb2.OtelConfig(
            endpoint=endpoint, headers=sealed.opened(self._ring, id_, kept)
        )
        return pb.GetOtelConfigResponse(config=config)

    async def SetExperimentalConfig(
        self, request: pb.SetExperimentalConfigRequest, context: Context
    ) -> pb.SetExperimentalConfigResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        config, wanted = experimental(request.config)
        async with self._sessions.begin() as session:
            await settings.set_experimental(session, id_, me, request, config, wanted, self._ring)
        return pb.SetExperimentalConfigResponse()

    async def SetLimitedNetworkEgress(
        self, request: pb.SetLimitedNetworkEgressRequest, context: Context
    ) -> pb.SetLimitedNetworkEgressResponse:
        id_ = uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await settings.set_limited_egress(session, id_, _owner(), request)
        return pb.SetLimitedNetworkEgressResponse()

    async def SetPreviewWarning(
        self, request: pb.SetPreviewWarningRequest, context: Context
    ) -> pb.SetPreviewWarningResponse:
        id_ = uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await settings.set_preview_warning(session, id_, _owner(), request)
        return pb.SetPreviewWarningResponse()


def _owner() -> str | None:
    """Return who has to be an owner for what is asked; nobody, if an administrator of the installation asks."""
    caller = current_caller.get()
    return None if caller.system_admin else caller.user_id
