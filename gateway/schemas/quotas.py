"""Shapes of what organizations may use and do use, and of suspensions."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gateway.schemas.base import Amount, Answer, Asked, Moment, Text, whole
from ratoon.orgs.v1 import organization_service_pb2 as pb

SandboxClass = Literal["linux-vm", "container", "android", "windows"]
_Rate = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**31 - 1)]
_Any = Annotated[int, BeforeValidator(whole), Field(ge=-(2**31), le=2**31 - 1)]
_Clearable = Literal[
    "authenticatedRateLimit",
    "sandboxCreateRateLimit",
    "sandboxLifecycleRateLimit",
    "authenticatedRateLimitTtlSeconds",
    "sandboxCreateRateLimitTtlSeconds",
    "sandboxLifecycleRateLimitTtlSeconds",
]
_OWN_MAXIMA = (
    "max_cpu_per_sandbox",
    "max_memory_per_sandbox",
    "max_disk_per_sandbox",
    "max_disk_per_non_ephemeral_sandbox",
)


_USES = ("current_cpu_usage", "current_memory_usage", "current_disk_usage", "current_gpu_usage")


class UpdateOrganizationQuota(Asked):
    """What is null or absent stays as it is."""

    max_cpu_per_sandbox: Amount | None = None
    max_memory_per_sandbox: Amount | None = None
    max_disk_per_sandbox: Amount | None = None
    snapshot_quota: Amount | None = None
    max_snapshot_size: Amount | None = None
    volume_quota: Amount | None = None
    secret_quota: Amount | None = None
    max_secrets_per_sandbox: Amount | None = None
    authenticated_rate_limit: _Rate | None = None
    sandbox_create_rate_limit: _Rate | None = None
    sandbox_lifecycle_rate_limit: _Rate | None = None
    authenticated_rate_limit_ttl_seconds: _Rate | None = None
    sandbox_create_rate_limit_ttl_seconds: _Rate | None = None
    sandbox_lifecycle_rate_limit_ttl_seconds: _Rate | None = None
    snapshot_deactivation_timeout_minutes: Amount | None = None
    max_concurrent_snapshot_processing: _Any | None = None
    cleared: list[_Clearable] | None = Field(
        default=None, description="What is set back to the installation's values"
    )

    def to_proto(self, organization_id: str) -> pb.UpdateQuotaRequest:
        names = {info.alias: name for name, info in type(self).model_fields.items()}
        changes = self.model_dump(exclude_none=True, exclude={"cleared"})
        cleared = [names[c] for c in self.cleared or ()]
        return pb.UpdateQuotaRequest(organization_id=organization_id, cleared=cleared, **changes)


class UpdateOrganizationRegionQuota(Asked):
    """Totals that are null or absent stay as they are; of the rest null means: as everywhere."""

    sandbox_class: SandboxClass = "container"
    total_cpu_quota: Amount | None = None
    total_memory_quota: Amount | None = None
    total_disk_quota: Amount | None = None
    total_gpu_quota: Amount | None = None
    max_cpu_per_sandbox: Amount | None = None
    max_memory_per_sandbox: Amount | None = None
    max_disk_per_sandbox: Amount | None = None
    max_disk_per_non_ephemeral_sandbox: Amount | None = None

    def to_proto(self, organization_id: str, region_id: str) -> pb.UpdateRegionQuotaRequest:
        nulls = [n for n in _OWN_MAXIMA if n in self.model_fields_set and getattr(self, n) is None]
        return pb.UpdateRegionQuotaRequest(
            organization_id=organization_id,
            region_id=region_id,
            cleared=nulls,
            **self.model_dump(exclude_none=True),
        )


class CreateOrganizationRegionQuota(Asked):
    sandbox_class: SandboxClass
    total_cpu_quota: Amount
    total_memory_quota: Amount
    total_disk_quota: Amount
    total_gpu_quota: Amount
    max_cpu_per_sandbox: Amount | None = None
    max_memory_per_sandbox: Amount | None = None
    max_disk_per_sandbox: Amount | None = None
    max_disk_per_non_ephemeral_sandbox: Amount | None = None

    def to_proto(self, organization_id: str, region_id: str) -> pb.CreateRegionQuotaRequest:
        amounts = self.model_dump(exclude_none=True, exclude={"sandbox_class"})
        quota = pb.RegionQuota(organization_id=organization_id, region_id=region_id, **amounts)
        return pb.CreateRegionQuotaRequest(quota=quota, sandbox_class=self.sandbox_class)


class OrganizationSuspension(Asked):
    reason: Text | None = None
    until: Moment | None = Field(default=None, description="When it ends by itself; in the future")
    suspension_cleanup_grace_period_hours: Amount | None = Field(
        default=None, description="Hours until what is in use goes out of use; 0: at once"
    )


class _Share(Answer):
    """What an organization may use in a region."""

    region_id: str
    sandbox_class: SandboxClass
    total_cpu_quota: int
    total_memory_quota: int
    total_disk_quota: int
    total_gpu_quota: int
    allowed_gpu_types: list[str] = Field(default_factory=list)
    max_cpu_per_sandbox: int | None
    max_memory_per_sandbox: int | None
    max_disk_per_sandbox: int | None
    max_disk_per_non_ephemeral_sandbox: int | None
    max_cpu_per_gpu: int | None
    max_memory_per_gpu: int | None
    max_disk_per_gpu: int | None


class RegionQuota(_Share):
    organization_id: str
    max_sandbox_lifespan: int | None


class RegionUsageOverview(_Share):
    current_cpu_usage: int
    current_memory_usage: int
    current_disk_usage: int
    current_gpu_usage: int


class OrganizationUsageOverview(Answer):
    region_usage: list[RegionUsageOverview]
    total_snapshot_quota: int
    current_snapshot_usage: int
    total_volume_quota: int
    current_volume_usage: int


class AvailableSandboxClass(Answer):
    region_id: str
    sandbox_class: SandboxClass
    gpu_available: bool
    allowed_gpu_types: list[str] = Field(default_factory=list)


def region_quota_from_proto(said: pb.RegionQuota) -> RegionQuota:
    return RegionQuota(
        **_share(said), organization_id=said.organization_id, max_sandbox_lifespan=None
    )


def usage_from_proto(quotas: pb.GetQuotasResponse, snapshots: int) -> OrganizationUsageOverview:
    """Compose what may be used with what is; sandboxes and volumes there are none."""
    none: dict[str, Any] = dict.fromkeys(_USES, 0)
    return OrganizationUsageOverview(
        region_usage=[RegionUsageOverview(**_share(q), **none) for q in quotas.regions],
        total_snapshot_quota=quotas.limits.snapshot_quota,
        current_snapshot_usage=snapshots,
        total_volume_quota=quotas.limits.volume_quota,
        current_volume_usage=0,
    )


def _share(said: pb.RegionQuota) -> dict[str, Any]:
    own = {n: getattr(said, n) if said.HasField(n) else None for n in _OWN_MAXIMA}  # type: ignore[arg-type]  # four names
    return {
        "region_id": said.region_id,
        "sandbox_class": "container",
        "total_cpu_quota": said.total_cpu_quota,
        "total_memory_quota": said.total_memory_quota,
        "total_disk_quota": said.total_disk_quota,
        "total_gpu_quota": said.total_gpu_quota,
        "max_cpu_per_gpu": None,
        "max_memory_per_gpu": None,
        "max_disk_per_gpu": None,
        **own,
    }
