"""Changes of what an organization is called and how it is set up."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.revisions import check_revision
from chassis.sealing import KeyRing
from services.orgs.commands import sealed
from services.orgs.commands.changes import held_by, tell
from services.orgs.domain import display_name
from services.orgs.domain.telemetry import Telemetry
from services.orgs.tables import Organization


async def update(
    session: AsyncSession, organization_id: UUID | None, owner: str, request: Any
) -> UUID:
    """Change what is told of an organization, and return its id."""
    organization = await held_by(session, organization_id, owner)
    check_revision(organization.revision, request)
    said: dict[str, Any] = {}
    if request.HasField("name"):
        said["name"] = organization.name = display_name(request.name)
    if request.HasField("snapshot_auto_activation"):
        organization.snapshot_auto_activation = request.snapshot_auto_activation
        said["snapshotAutoActivation"] = request.snapshot_auto_activation
    if said:
        await tell(session, organization, "update", *said, **said)
    return organization.id


async def set_telemetry(
    session: AsyncSession,
    organization_id: UUID | None,
    owner: str,
    request: Any,
    wanted: Telemetry,
    ring: KeyRing,
) -> None:
    organization = await held_by(session, organization_id, owner)
    check_revision(organization.revision, request)
    await _store(session, organization, wanted, ring)
    said = {"endpoint": wanted.endpoint, "headers": organization.otel_header_names}
    await tell(session, organization, "update_otel_config", "otelConfig", **said)


async def delete_telemetry(
    session: AsyncSession, organization_id: UUID | None, owner: str, request: Any
) -> None:
    organization = await held_by(session, organization_id, owner)
    check_revision(organization.revision, request)
    if organization.otel_endpoint is None:
        return
    organization.otel_endpoint = organization.otel_headers = None
    organization.otel_header_names = []
    await tell(session, organization, "delete_otel_config", "otelConfig")


async def set_experimental(
    session: AsyncSession,
    organization_id: UUID | None,
    owner: str,
    request: Any,
    config: str,
    wanted: Telemetry | None,
    ring: KeyRing,
) -> None:
    """Replace the settings under trial, and telemetry if there is some in them."""
    organization = await held_by(session, organization_id, owner)
    check_revision(organization.revision, request)
    organization.experimental_config = json.loads(config)
    fields = ["experimentalConfig"]
    said: dict[str, Any] = {"settings": sorted(organization.experimental_config)}
    if wanted is not None:
        await _store(session, organization, wanted, ring)
        fields.append("otelConfig")
        said |= {"endpoint": wanted.endpoint, "headers": organization.otel_header_names}
    await tell(session, organization, "update_experimental_config", *fields, **said)


async def set_limited_egress(
    session: AsyncSession, organization_id: UUID | None, owner: str | None, request: Any
) -> None:
    organization = await held_by(session, organization_id, owner)
    check_revision(organization.revision, request)
    organization.sandbox_limited_network_egress = request.limited
    await tell(
        session,
        organization,
        "update_sandbox_default_limited_network_egress",
        "sandboxLimitedNetworkEgress",
        sandboxDefaultLimitedNetworkEgress=request.limited,
    )


async def set_preview_warning(
    session: AsyncSession, organization_id: UUID | None, owner: str | None, request: Any
) -> None:
    organization = await held_by(session, organization_id, owner)
    check_revision(organization.revision, request)
    organization.preview_warning_enabled = request.enabled
    field = "previewWarningEnabled"
    await tell(session, organization, "update_preview_warning", field, **{field: request.enabled})


async def _store(
    session: AsyncSession, organization: Organization, wanted: Telemetry, ring: KeyRing
) -> None:
    stored = sealed.headers(ring, organization) if wanted.needs_stored() else {}
    headers = wanted.merged(stored)
    organization.otel_endpoint = wanted.endpoint
    organization.otel_header_names = sorted(headers)
    organization.otel_headers = await sealed.seal(session, ring, organization.id, headers)
