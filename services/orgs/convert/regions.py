"""Regions to protobuf; the order of the columns is that of `queries.columns` and `queries.regions`."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from ratoon.orgs.v1 import organization_service_pb2 as service_pb
from ratoon.orgs.v1 import region_pb2 as pb
from ratoon.orgs.v1 import region_service_pb2
from services.orgs.convert.times import stamp
from services.orgs.domain.regions import ADDRESSES, SNAPSHOT_MANAGER_USER, Machine

_TYPES = {
    "shared": pb.REGION_TYPE_SHARED,
    "dedicated": pb.REGION_TYPE_DEDICATED,
    "custom": pb.REGION_TYPE_CUSTOM,
}
_MACHINES = {
    Machine.PROXY: region_service_pb2.REGION_CREDENTIAL_KIND_PROXY,
    Machine.SSH_GATEWAY: region_service_pb2.REGION_CREDENTIAL_KIND_SSH_GATEWAY,
    Machine.SNAPSHOT_MANAGER: region_service_pb2.REGION_CREDENTIAL_KIND_SNAPSHOT_MANAGER,
}


def region_to_proto(row: Any) -> pb.Region:
    id_, created, updated, name, organization, type_, *addresses = row
    proxy, ssh_gateway, snapshot_manager, otel = addresses
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
        otel_endpoint=otel,
    )


def secrets_to_proto(secrets: Mapping[Machine, str]) -> region_service_pb2.RegionSecrets:
    password = secrets.get(Machine.SNAPSHOT_MANAGER, "")
    return region_service_pb2.RegionSecrets(
        proxy_api_key=secrets.get(Machine.PROXY, ""),
        ssh_gateway_api_key=secrets.get(Machine.SSH_GATEWAY, ""),
        snapshot_manager_username=SNAPSHOT_MANAGER_USER if password else "",
        snapshot_manager_password=password,
    )


def machine_to_proto(machine: str) -> region_service_pb2.RegionCredentialKind.ValueType:
    return _MACHINES[Machine(machine)]


def machine_from_proto(kind: int) -> Machine | None:
    """Return the machine; None for a kind that is not known here."""
    return next((m for m, k in _MACHINES.items() if k == kind), None)


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


def addresses_from_proto(request: Message) -> dict[str, str]:
    """Return the addresses that a change asks for; what is not set is left out."""
    return {field: getattr(request, field) for field in ADDRESSES if request.HasField(field)}
