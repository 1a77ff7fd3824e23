"""Shapes of organizations."""

from typing import Annotated, Any

import msgspec
from google.protobuf.message import Message
from pydantic import Field

from gateway.schemas import telemetry
from gateway.schemas.base import Answer, Asked, Text, iso
from ratoon.orgs.v1 import organization_pb2 as pb

_DATE = {"format": "date-time"}
# Strict clients demand a date here even of an organization that is not suspended; none reads it then.
_NEVER = "1970-01-01T00:00:00.000Z"
# Suspended until somebody lifts it: a date that no client takes for passed.
_OPEN = "9999-12-31T23:59:59.999Z"
_NOTHING = msgspec.UNSET


class CreateOrganization(Asked):
    name: Text = Field(min_length=1, description="Display name")
    default_region_id: Text = Field(min_length=1, description="A shared region")


class Organization(Answer):
    id: str
    name: str
    created_by: str
    personal: bool
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]
    updated_at: Annotated[str, Field(json_schema_extra=_DATE)]
    suspended: bool
    suspended_at: Annotated[str | None, Field(json_schema_extra=_DATE)]
    suspension_reason: str
    suspended_until: Annotated[str | None, Field(json_schema_extra=_DATE)]
    suspension_cleanup_grace_period_hours: int
    max_cpu_per_sandbox: int
    max_memory_per_sandbox: int
    max_disk_per_sandbox: int
    snapshot_deactivation_timeout_minutes: int
    sandbox_limited_network_egress: bool
    default_region_id: str | None = Field(default=None, description="Left out while none is chosen")
    authenticated_rate_limit: int | None
    sandbox_create_rate_limit: int | None
    sandbox_lifecycle_rate_limit: int | None
    experimental_config: dict[str, Any]
    otel_config: telemetry.OtelConfig | None
    authenticated_rate_limit_ttl_seconds: int | None
    sandbox_create_rate_limit_ttl_seconds: int | None
    sandbox_lifecycle_rate_limit_ttl_seconds: int | None
    secret_quota: int
    max_secrets_per_sandbox: int
    preview_warning_enabled: bool
    sso_enabled: bool
    scim_enabled: bool
    default_queue_timeout: int | None
    snapshot_auto_activation: bool


class Encoded(msgspec.Struct, rename="camel"):
    """Organization, as it is encoded."""

    id: str
    name: str
    created_by: str
    personal: bool
    created_at: str
    updated_at: str
    suspended: bool
    suspended_at: str | None
    suspension_reason: str
    suspended_until: str | None
    suspension_cleanup_grace_period_hours: int
    max_cpu_per_sandbox: int
    max_memory_per_sandbox: int
    max_disk_per_sandbox: int
    snapshot_deactivation_timeout_minutes: int
    sandbox_limited_network_egress: bool
    default_region_id: str | msgspec.UnsetType
    authenticated_rate_limit: int | None
    sandbox_create_rate_limit: int | None
    sandbox_lifecycle_rate_limit: int | None
    authenticated_rate_limit_ttl_seconds: int | None
    sandbox_create_rate_limit_ttl_seconds: int | None
    sandbox_lifecycle_rate_limit_ttl_seconds: int | None
    experimental_config: dict[str, Any]
    otel_config: dict[str, Any] | None
    secret_quota: int
    max_secrets_per_sandbox: int
    preview_warning_enabled: bool
    snapshot_auto_activation: bool
    # What this installation has nothing to say about, in the values that strict clients accept.
    sso_enabled: bool = False
    scim_enabled: bool = False
    default_queue_timeout: int | None = None


class Shown:
    """How organizations are shown: with dates where nothing is to be dated, or with nulls there."""

    def __init__(self, *, null_dates: bool) -> None:
        self._never = None if null_dates else _NEVER
        self._open = None if null_dates else _OPEN

    def organization(self, said: pb.Organization) -> Encoded:
        limits, suspension = said.limits, said.suspension
        suspended = said.HasField("suspension")
        return Encoded(
            id=said.id,
            name=said.name,
            created_by=said.created_by,
            personal=said.personal,
            created_at=iso(said.create_time),
            updated_at=iso(said.update_time),
            suspended=suspended,
            suspended_at=iso(suspension.time) if suspended else self._never,
            suspension_reason=suspension.reason,
            suspended_until=self._until(suspension) if suspended else self._never,
            suspension_cleanup_grace_period_hours=limits.suspension_cleanup_grace_period_hours,
            max_cpu_per_sandbox=limits.max_cpu_per_sandbox,
            max_memory_per_sandbox=limits.max_memory_per_sandbox,
            max_disk_per_sandbox=limits.max_disk_per_sandbox,
            snapshot_deactivation_timeout_minutes=limits.snapshot_deactivation_timeout_minutes,
            sandbox_limited_network_egress=said.sandbox_limited_network_egress,
            default_region_id=said.default_region_id or _NOTHING,
            authenticated_rate_limit=_set(limits, "authenticated_rate_limit"),
            sandbox_create_rate_limit=_set(limits, "sandbox_create_rate_limit"),
            sandbox_lifecycle_rate_limit=_set(limits, "sandbox_lifecycle_rate_limit"),
            authenticated_rate_limit_ttl_seconds=_set(
                limits, "authenticated_rate_limit_ttl_seconds"
            ),
            sandbox_create_rate_limit_ttl_seconds=_set(
                limits, "sandbox_create_rate_limit_ttl_seconds"
            ),
            sandbox_lifecycle_rate_limit_ttl_seconds=_set(
                limits, "sandbox_lifecycle_rate_limit_ttl_seconds"
            ),
            experimental_config=telemetry.experimental(said),
            otel_config=telemetry.masked(said),
            secret_quota=limits.secret_quota,
            max_secrets_per_sandbox=limits.max_secrets_per_sandbox,
            preview_warning_enabled=said.preview_warning_enabled,
            snapshot_auto_activation=said.snapshot_auto_activation,
        )

    def _until(self, suspension: pb.Suspension) -> str | None:
        return iso(suspension.until_time) if suspension.HasField("until_time") else self._open


def _set(limits: Message, field: str) -> int | None:
    return getattr(limits, field) if limits.HasField(field) else None
