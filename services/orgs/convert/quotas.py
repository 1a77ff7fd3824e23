"""Shares of regions and changes of what may be used; the order of the columns is that of `queries.columns`."""

from typing import Any

from ratoon.orgs.v1 import organization_service_pb2 as pb
from services.orgs.convert.times import stamp
from services.orgs.domain.quotas import CLEARABLE, CLEARABLE_IN_REGION, changes_of

_ABOUT = frozenset(
    {"organization_id", "region_id", "sandbox_class", "cleared", "create_time", "update_time"}
)
_TOTALS = ("total_cpu_quota", "total_memory_quota", "total_disk_quota", "total_gpu_quota")


def region_quota_to_proto(row: Any) -> pb.RegionQuota:
    organization, created, updated, region, *amounts = row
    cpu, memory, disk, most_cpu, most_memory, most_disk, most_kept_disk, gpu = amounts
    return pb.RegionQuota(
        organization_id=organization,
        create_time=stamp(created),
        update_time=stamp(updated),
        region_id=region,
        total_cpu_quota=cpu,
        total_memory_quota=memory,
        total_disk_quota=disk,
        max_cpu_per_sandbox=most_cpu,
        max_memory_per_sandbox=most_memory,
        max_disk_per_sandbox=most_disk,
        max_disk_per_non_ephemeral_sandbox=most_kept_disk,
        total_gpu_quota=gpu,
    )


def changes_from_proto(
    request: pb.UpdateQuotaRequest | pb.UpdateRegionQuotaRequest,
) -> dict[str, int | None]:
    """Return what a request changes, by the names of the columns, which are those of its fields."""
    everywhere = isinstance(request, pb.UpdateQuotaRequest)
    clearable = CLEARABLE if everywhere else CLEARABLE_IN_REGION
    return changes_of(_said(request), request.cleared, clearable)


def share_from_proto(quota: pb.RegionQuota) -> dict[str, int | None]:
    """Return what is granted; a total that is not said is none."""
    return changes_of(dict.fromkeys(_TOTALS, 0) | _said(quota), (), frozenset())


def _said(message: Any) -> dict[str, int]:
    return {field.name: value for field, value in message.ListFields() if field.name not in _ABOUT}
