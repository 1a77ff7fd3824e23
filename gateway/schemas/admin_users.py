"""Shapes of users as administrators see them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.schemas.base import Amount, Asked, Text, iso
from gateway.schemas.users import User, user_from_proto
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import user_pb2, user_service_pb2
from ratoon.orgs.v1 import organization_service_pb2

_DATE = {"format": "date-time"}
_TOTALS = {"total_cpu_quota", "total_memory_quota", "total_disk_quota", "total_gpu_quota"}


class CreateOrganizationQuota(Asked):
    """What a personal organization may use; the totals in its default region, if quotas are enforced there."""

    total_cpu_quota: Amount | None = None
    total_memory_quota: Amount | None = None
    total_disk_quota: Amount | None = None
    total_gpu_quota: Amount | None = None
    max_cpu_per_sandbox: Amount | None = None
    max_memory_per_sandbox: Amount | None = None
    max_disk_per_sandbox: Amount | None = None
    snapshot_quota: Amount | None = None
    max_snapshot_size: Amount | None = None
    volume_quota: Amount | None = None
    max_concurrent_snapshot_processing: Amount | None = None


class CreateUser(Asked):
    id: Text = Field(default="", description="The issuer's subject; by default one is made up")
    name: Text = Field(min_length=1)
    email: Text = ""
    email_verified: bool = False
    role: Literal["admin", "user"] = "user"
    personal_organization_quota: CreateOrganizationQuota | None = None
    personal_organization_default_region_id: Text = ""


class AdminUser(User):
    role: Literal["admin", "user"]
    disabled_at: Annotated[str | None, Field(json_schema_extra=_DATE)] = Field(
        description="Since when all credentials are refused; null: they are not"
    )


class AdminUserWithKey(AdminUser):
    private_key: str = Field(description="OpenSSH private key; it is shown this once")


def admin_user_from_proto(said: user_pb2.User) -> AdminUser:
    return AdminUser(**_fields(said))


def key_pair_from_proto(said: user_service_pb2.RegenerateKeyPairResponse) -> AdminUserWithKey:
    return AdminUserWithKey(**_fields(said.user), private_key=said.private_key)


def quota_to_proto(
    organization_id: str, asked: CreateOrganizationQuota
) -> organization_service_pb2.UpdateQuotaRequest:
    wanted = asked.model_dump(exclude_none=True, exclude=_TOTALS)
    return organization_service_pb2.UpdateQuotaRequest(organization_id=organization_id, **wanted)


def totals_to_proto(
    organization_id: str, asked: CreateOrganizationQuota
) -> organization_service_pb2.UpdateRegionQuotaRequest | None:
    """Return what the organization may use in a region that is still to be named; None: nothing is said of that."""
    wanted = asked.model_dump(exclude_none=True, include=_TOTALS)
    if not wanted:
        return None
    return organization_service_pb2.UpdateRegionQuotaRequest(
        organization_id=organization_id, **wanted
    )


def _fields(said: user_pb2.User) -> dict[str, Any]:
    admin = said.system_role == access_pb2.SYSTEM_ROLE_ADMIN
    return {
        **user_from_proto(said).model_dump(),
        "role": "admin" if admin else "user",
        "disabled_at": iso(said.disable_time) if said.HasField("disable_time") else None,
    }
