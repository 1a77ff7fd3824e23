"""How regions, and what organizations may use in them, are stored."""

from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from services.orgs.domain import RegionType
from services.orgs.tables.base import Base, Dated


class Region(Dated, Base):
    """With an organization it is that one's own, and of type custom."""

    __tablename__ = "regions"
    __table_args__ = (
        Index(
            "uq_regions_organization_id",
            "organization_id",
            "name",
            unique=True,
            postgresql_where=text("organization_id IS NOT NULL"),
        ),
        Index("uq_regions_proxy_key", "proxy_key", unique=True),
        Index("uq_regions_ssh_gateway_key", "ssh_gateway_key", unique=True),
        Index("uq_regions_snapshot_manager_password", "snapshot_manager_password", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE")
    )
    type: Mapped[RegionType]
    enforce_quotas: Mapped[bool]
    proxy_url: Mapped[str | None]
    ssh_gateway_url: Mapped[str | None]
    snapshot_manager_url: Mapped[str | None]
    otel_endpoint: Mapped[str | None]
    # SHA-256 of the secrets.
    proxy_key: Mapped[bytes | None]
    ssh_gateway_key: Mapped[bytes | None]
    snapshot_manager_password: Mapped[bytes | None]


class RegionQuota(Dated, Base):
    """What an organization may use in a region; where quotas are enforced, no row means no access."""

    __tablename__ = "region_quotas"

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    region_id: Mapped[str] = mapped_column(
        ForeignKey("regions.id", ondelete="CASCADE"), primary_key=True
    )
    total_cpu_quota: Mapped[int]
    total_memory_quota: Mapped[int]
    total_disk_quota: Mapped[int]
    # Unset: as the organization has it everywhere.
    max_cpu_per_sandbox: Mapped[int | None]
    max_memory_per_sandbox: Mapped[int | None]
    max_disk_per_sandbox: Mapped[int | None]
    max_disk_per_non_ephemeral_sandbox: Mapped[int | None]
    total_gpu_quota: Mapped[int] = mapped_column(server_default="0")


class RegionUsage(Base):
    """What is kept in a custom region, as the feeds of other contexts tell."""

    __tablename__ = "region_usage"

    region_id: Mapped[str] = mapped_column(
        ForeignKey("regions.id", ondelete="CASCADE"), primary_key=True
    )
    snapshots: Mapped[int] = mapped_column(BigInteger)
