"""Shapes of regions."""

from typing import Literal

from pydantic import Field

from gateway.schemas.base import Answer, iso
from ratoon.orgs.v1 import region_pb2 as pb

_TYPES: dict[int, Literal["shared", "dedicated", "custom"]] = {
    pb.REGION_TYPE_SHARED: "shared",
    pb.REGION_TYPE_DEDICATED: "dedicated",
    pb.REGION_TYPE_CUSTOM: "custom",
}


class Region(Answer):
    id: str
    name: str
    organization_id: str | None = Field(
        description="The organization that owns it; null: the installation"
    )
    region_type: Literal["shared", "dedicated", "custom"]
    created_at: str
    updated_at: str
    proxy_url: str | None
    ssh_gateway_url: str | None
    snapshot_manager_url: str | None
    otel_endpoint: str | None = None


def region_from_proto(said: pb.Region) -> Region:
    return Region(
        id=said.id,
        name=said.name,
        organization_id=said.organization_id or None,
        region_type=_TYPES[said.type],
        created_at=iso(said.create_time),
        updated_at=iso(said.update_time),
        proxy_url=said.proxy_url or None,
        ssh_gateway_url=said.ssh_gateway_url or None,
        snapshot_manager_url=said.snapshot_manager_url or None,
    )
