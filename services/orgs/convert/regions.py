"""Regions to protobuf; the order of the columns is that of `queries.columns` and `queries.regions`."""

from typing import Any

from ratoon.orgs.v1 import organization_service_pb2 as service_pb
from ratoon.orgs.v1 import region_pb2 as pb
from services.orgs.convert.times import stamp

_TYPES = {
    "shared": pb.REGION_TYPE_SHARED,
    "dedicated": pb.REGION_TYPE_DEDICATED,
    "custom": pb.REGION_TYPE_CUSTOM,
}


def region_to_proto(row: Any) -> pb.Region:
    id_, created, updated, name, organization, type_, proxy, ssh_gateway, snapshot_manager = row
    return pb.Region(
        id=id_,
        create_time=stamp(created),
        update_time=stamp(updated),
        name=name,
        organization_id=organization,
        type=_TYPES[type_],
        proxy_url=proxy,
        ssh_gateway_url=ssh_gateway,
        snapshot_manager_url=snapshot_manager,
    )


def region_limits_to_proto(row: Any) -> service_pb.RegionLimits:
    id_, type_, available, cpu, memory, disk, kept_disk = row
    return service_pb.RegionLimits(
        region_id=id_,
        type=_TYPES[type_],
        available=available,
        max_cpu_per_sandbox=cpu,
        max_memory_per_sandbox=memory,
        max_disk_per_sandbox=disk,
        max_disk_per_non_ephemeral_sandbox=kept_disk,
    )
