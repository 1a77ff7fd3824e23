"""Organizations, limits and suspensions to protobuf; the order of the columns is that of `queries.columns`."""

from typing import Any

from ratoon.orgs.v1 import organization_pb2 as pb
from ratoon.orgs.v1 import organization_service_pb2 as service_pb
from services.orgs.convert.regions import region_limits_to_proto
from services.orgs.convert.times import stamp
from services.orgs.domain.telemetry import MASK


def organization_to_proto(row: Any) -> pb.Organization:
    (id_, created, updated, name, created_by, personal, region, limited_egress, *rest) = row
    revision, preview_warning, auto_activation, endpoint, header_names, experimental, *rest = rest
    return pb.Organization(
        id=id_,
        create_time=stamp(created),
        update_time=stamp(updated),
        name=name,
        created_by=created_by,
        personal=personal,
        default_region_id=region,
        suspension=_suspension_to_proto(*rest[:4]),
        limits=limits_to_proto(rest[4:]),
        sandbox_limited_network_egress=limited_egress,
        revision=revision,
        otel_config=_masked(endpoint, header_names),
        experimental_config="" if experimental == "{}" else experimental,
        preview_warning_enabled=preview_warning,
        snapshot_auto_activation=auto_activation,
    )


def known_limits_to_proto(row: Any, regions: list[Any]) -> service_pb.GetLimitsResponse:
    region, revision, auto_activation, *rest = row
    return service_pb.GetLimitsResponse(
        limits=limits_to_proto(rest[4:]),
        suspension=_suspension_to_proto(*rest[:4]),
        default_region_id=region,
        regions=[region_limits_to_proto(r) for r in regions],
        revision=revision,
        snapshot_auto_activation=auto_activation,
    )


def _masked(endpoint: str | None, header_names: list[str]) -> pb.OtelConfig | None:
    if endpoint is None:
        return None
    return pb.OtelConfig(endpoint=endpoint, headers=dict.fromkeys(header_names, MASK))


def _suspension_to_proto(
    since: int | None, until: int | None, reason: str, cause: str | None
) -> pb.Suspension | None:
    if since is None:
        return None
    return pb.Suspension(
        time=stamp(since),
        reason=reason,
        until_time=None if until is None else stamp(until),
        cause=cause or "",
    )


def limits_to_proto(columns: Any) -> pb.Limits:
    (cpu, memory, disk, snapshots, snapshot_size, volumes, idle, grace, *rates) = columns
    authenticated, create, lifecycle, authenticated_ttl, create_ttl, lifecycle_ttl, *rest = rates
    secrets, secrets_per_sandbox, processing = rest
    return pb.Limits(
        max_cpu_per_sandbox=cpu,
        max_memory_per_sandbox=memory,
        max_disk_per_sandbox=disk,
        snapshot_quota=snapshots,
        max_snapshot_size=snapshot_size,
        volume_quota=volumes,
        snapshot_deactivation_timeout_minutes=idle,
        suspension_cleanup_grace_period_hours=grace,
        authenticated_rate_limit=authenticated,
        sandbox_create_rate_limit=create,
        sandbox_lifecycle_rate_limit=lifecycle,
        authenticated_rate_limit_ttl_seconds=authenticated_ttl,
        sandbox_create_rate_limit_ttl_seconds=create_ttl,
        sandbox_lifecycle_rate_limit_ttl_seconds=lifecycle_ttl,
        secret_quota=secrets,
        max_secrets_per_sandbox=secrets_per_sandbox,
        max_concurrent_snapshot_processing=processing,
    )
