"""/organizations: names and settings, in front of OrganizationService."""

import msgspec
from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.errors import Problem
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.organizations import Organization
from gateway.schemas.settings import (
    OrganizationPreviewWarning,
    OrganizationSandboxDefaultLimitedNetworkEgress,
    UpdateOrganization,
)
from gateway.schemas.telemetry import (
    ExperimentalConfig,
    OtelConfig,
    UpdateOtelConfig,
    config_from_proto,
)
from ratoon.orgs.v1 import organization_service_pb2 as pb

operations = router("/organizations", "organizations")


@operations.patch(
    "/{organizationId:segment}",
    operation_id="updateOrganization",
    summary="Rename an organization, or say what its snapshots do",
    response_model=Organization,
    responses=errors(412, body=True),
)
@guarded("orgs.OrganizationService/UpdateOrganization")
async def update_organization(
    call: Call, organizationId: Segment, body: UpdateOrganization
) -> Response:
    request = pb.UpdateOrganizationRequest(
        organization_id=call.caller.organization_id,
        name=body.name,
        snapshot_auto_activation=body.snapshot_auto_activation,
        if_revision=call.if_revision,
    )
    answer = await call.rpc(call.services.organizations.UpdateOrganization, request)
    call.say_revision(answer.organization.revision)
    return json(call.visit.gateway.shown.organization(answer.organization))


@operations.get(
    "/otel-config/by-sandbox-auth-token/{authToken:segment}",
    operation_id="getOrganizationOtelConfigBySandboxAuthToken",
    summary="Get where telemetry of a sandbox's organization goes; for the collector",
    response_model=OtelConfig,
    responses=errors(404),
)
@guarded("orgs.OrganizationService/GetOtelConfig")
async def get_otel_config_by_token(call: Call, authToken: Segment) -> Response:
    message = "there is no such sandbox, or its organization sends telemetry nowhere"
    raise Problem(404, "OTEL_CONFIG_NOT_FOUND", message)


@operations.get(
    "/{organizationId:segment}/otel-config",
    operation_id="getOrganizationOtelConfig",
    summary="Get where telemetry goes, headers in the clear; for the collector",
    response_model=OtelConfig,
    response_model_exclude_none=True,
    responses=errors(404),
)
@guarded("orgs.OrganizationService/GetOtelConfig")
async def get_otel_config(call: Call, organizationId: Segment) -> OtelConfig:
    request = pb.GetOtelConfigRequest(organization_id=organizationId)
    answer = await call.rpc(call.services.organizations.GetOtelConfig, request)
    return config_from_proto(answer.config, organizationId)


@operations.put(
    "/{organizationId:segment}/otel-config",
    operation_id="updateOrganizationOtelConfig",
    summary="Choose where telemetry goes",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(412, body=True),
)
@guarded("orgs.OrganizationService/SetOtelConfig")
async def update_otel_config(
    call: Call, organizationId: Segment, body: UpdateOtelConfig
) -> Response:
    request = pb.SetOtelConfigRequest(
        organization_id=call.caller.organization_id,
        config=body.to_proto(),
        if_revision=call.if_revision,
    )
    await call.rpc(call.services.organizations.SetOtelConfig, request)
    return Response(status_code=204)


@operations.delete(
    "/{organizationId:segment}/otel-config",
    operation_id="deleteOrganizationOtelConfig",
    summary="Send telemetry nowhere",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 412),
)
@guarded("orgs.OrganizationService/DeleteOtelConfig")
async def delete_otel_config(call: Call, organizationId: Segment) -> Response:
    request = pb.DeleteOtelConfigRequest(
        organization_id=call.caller.organization_id, if_revision=call.if_revision
    )
    await call.rpc(call.services.organizations.DeleteOtelConfig, request)
    return Response(status_code=204)


@operations.put(
    "/{organizationId:segment}/experimental-config",
    operation_id="updateExperimentalConfig",
    summary="Replace the settings under trial",
    response_class=Response,
    response_model=None,
    responses=errors(412, body=True),
)
@guarded("orgs.OrganizationService/SetExperimentalConfig")
async def update_experimental_config(
    call: Call, organizationId: Segment, body: ExperimentalConfig | None = None
) -> Response:
    said = {} if body is None else await call.json()
    request = pb.SetExperimentalConfigRequest(
        organization_id=call.caller.organization_id,
        config=msgspec.json.encode(said).decode(),
        if_revision=call.if_revision,
    )
    await call.rpc(call.services.organizations.SetExperimentalConfig, request)
    return Response(status_code=200)


@operations.post(
    "/{organizationId:segment}/sandbox-default-limited-network-egress",
    operation_id="updateSandboxDefaultLimitedNetworkEgress",
    summary="Say whether new sandboxes may reach only a short list of hosts",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, 412, body=True),
)
@guarded("orgs.OrganizationService/SetLimitedNetworkEgress")
async def update_limited_egress(
    call: Call, organizationId: Segment, body: OrganizationSandboxDefaultLimitedNetworkEgress
) -> Response:
    request = pb.SetLimitedNetworkEgressRequest(
        organization_id=organizationId,
        limited=body.sandbox_default_limited_network_egress,
        if_revision=call.if_revision,
    )
    await call.rpc(call.services.organizations.SetLimitedNetworkEgress, request)
    return Response(status_code=204)


@operations.post(
    "/{organizationId:segment}/preview-warning",
    operation_id="updateOrganizationPreviewWarning",
    summary="Say whether previews are shown behind a warning",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, 412, body=True),
)
@guarded("orgs.OrganizationService/SetPreviewWarning")
async def update_preview_warning(
    call: Call, organizationId: Segment, body: OrganizationPreviewWarning
) -> Response:
    return await set_preview_warning(call, organizationId, body)


async def set_preview_warning(
    call: Call, organization_id: str, body: OrganizationPreviewWarning
) -> Response:
    request = pb.SetPreviewWarningRequest(
        organization_id=organization_id,
        enabled=body.preview_warning_enabled,
        if_revision=call.if_revision,
    )
    await call.rpc(call.services.organizations.SetPreviewWarning, request)
    return Response(status_code=204)
