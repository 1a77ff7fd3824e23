"""Shapes of what is asked for about an organization's name and settings."""

from pydantic import Field

from gateway.schemas.base import Asked, Text
from gateway.schemas.organizations import CreateOrganization


class AdminCreateOrganization(CreateOrganization):
    user_id: Text = Field(min_length=1, description="The owner")


class UpdateOrganization(Asked):
    name: Text | None = Field(
        default=None, min_length=1, description="Display name; null or absent: as it is"
    )
    snapshot_auto_activation: bool | None = Field(
        default=None,
        description="Activate an inactive snapshot when a sandbox is to start from it; null or absent: as it is",
    )


class OrganizationSandboxDefaultLimitedNetworkEgress(Asked):
    sandbox_default_limited_network_egress: bool


class OrganizationPreviewWarning(Asked):
    preview_warning_enabled: bool


class UpdateOrganizationDefaultRegion(Asked):
    default_region_id: Text = Field(min_length=1, description="A shared region")
