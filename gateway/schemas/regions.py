"""Shapes of regions."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.schemas.base import Answer, Asked, Text, iso
from ratoon.orgs.v1 import region_pb2 as pb
from ratoon.orgs.v1 import region_service_pb2

_TYPES: dict[int, Literal["shared", "dedicated", "custom"]] = {
    pb.REGION_TYPE_SHARED: "shared",
    pb.REGION_TYPE_DEDICATED: "dedicated",
    pb.REGION_TYPE_CUSTOM: "custom",
}


Url = Annotated[str, StringConstraints(max_length=2_048, pattern=r"^[^\x00]*$")]


class CreateRegion(Asked):
    name: Text = Field(
        description="2 to 255 of A-Z, a-z, 0-9, _, . and -; unique in the organization"
    )
    proxy_url: Url | None = Field(default=None, description="http or https")
    ssh_gateway_url: Url | None = Field(default=None, description="ssh, http or https")
    snapshot_manager_url: Url | None = Field(default=None, description="http or https")
    otel_endpoint: Url | None = Field(default=None, description="http or https")


class UpdateRegion(Asked):
    """What is left out stays as it is."""

    proxy_url: Url | None = Field(default=None, description="null: none, and its key is gone")
    ssh_gateway_url: Url | None = Field(default=None, description="null: none, and its key is gone")
    snapshot_manager_url: Url | None = Field(
        default=None, description="null: none, and its password is gone"
    )
    otel_endpoint: Url | None = Field(default=None, description="null: none")


class CreateRegionResponse(Answer):
    id: str
    proxy_api_key: str | None = Field(description="Shown this once; null without a proxyUrl")
    ssh_gateway_api_key: str | None = Field(
        description="Shown this once; null without a sshGatewayUrl"
    )
    snapshot_manager_username: str | None
    snapshot_manager_password: str | None = Field(
        description="Shown this once; null without a snapshotManagerUrl"
    )


class RegenerateApiKeyResponse(Answer):
    api_key: str = Field(description="Shown this once; the one before opens nothing any more")


class SnapshotManagerCredentials(Answer):
    username: str
    password: str = Field(description="Shown this once; the one before opens nothing any more")


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
        otel_endpoint=said.otel_endpoint or None,
    )


def created_from_proto(said: region_service_pb2.CreateRegionResponse) -> CreateRegionResponse:
    return CreateRegionResponse(
        id=said.region.id,
        proxy_api_key=said.secrets.proxy_api_key or None,
        ssh_gateway_api_key=said.secrets.ssh_gateway_api_key or None,
        snapshot_manager_username=said.secrets.snapshot_manager_username or None,
        snapshot_manager_password=said.secrets.snapshot_manager_password or None,
    )


def changes_of(asked: UpdateRegion) -> dict[str, str]:
    """Return what is to change; the empty text clears."""
    said = asked.model_dump(exclude_unset=True)
    return {field: url or "" for field, url in said.items()}
