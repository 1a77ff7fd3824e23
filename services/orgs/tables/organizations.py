"""How organizations are stored."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    ForeignKey,
    Index,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.orgs.tables.base import Base, Dated, Revised


class Organization(Dated, Revised, Base):
    __tablename__ = "organizations"
    __table_args__ = (
        Index("ix_organizations_created_by", "created_by"),
        Index(
            "uq_organizations_personal",
            "created_by",
            unique=True,
            postgresql_where=text("personal"),
        ),
        Index(
            "ix_organizations_suspended_until",
            "suspended_until",
            postgresql_where=text("suspended_until IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    created_by: Mapped[str]
    personal: Mapped[bool] = mapped_column(default=False)
    # use_alter: regions point back at organizations.
    default_region_id: Mapped[str | None] = mapped_column(ForeignKey("regions.id", use_alter=True))
    # What an administrator set, and beside it the wait for the creator's address to be verified: each ends by itself.
    suspended_at: Mapped[datetime | None]
    suspended_until: Mapped[datetime | None]
    suspension_reason: Mapped[str] = mapped_column(default="")
    unverified_since: Mapped[datetime | None]
    max_cpu_per_sandbox: Mapped[int]
    max_memory_per_sandbox: Mapped[int]
    max_disk_per_sandbox: Mapped[int]
    snapshot_quota: Mapped[int]
    max_snapshot_size: Mapped[int]
    volume_quota: Mapped[int]
    snapshot_deactivation_timeout_minutes: Mapped[int] = mapped_column(server_default="20160")
    suspension_cleanup_grace_period_hours: Mapped[int] = mapped_column(server_default="24")
    authenticated_rate_limit: Mapped[int | None]
    sandbox_create_rate_limit: Mapped[int | None]
    sandbox_lifecycle_rate_limit: Mapped[int | None]
    authenticated_rate_limit_ttl_seconds: Mapped[int | None]
    sandbox_create_rate_limit_ttl_seconds: Mapped[int | None]
    sandbox_lifecycle_rate_limit_ttl_seconds: Mapped[int | None]
    sandbox_limited_network_egress: Mapped[bool]
    preview_warning_enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    snapshot_auto_activation: Mapped[bool] = mapped_column(server_default=text("false"))
    secret_quota: Mapped[int] = mapped_column(server_default="0")
    max_secrets_per_sandbox: Mapped[int] = mapped_column(server_default="0")
    max_concurrent_snapshot_processing: Mapped[int | None]
    otel_endpoint: Mapped[str | None]
    # The names in the clear, so that they can be shown without a key; names and values together sealed.
    otel_header_names: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    otel_headers: Mapped[bytes | None]
    experimental_config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
