"""How organizations, members, roles, regions and people are stored."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, DateTime, ForeignKey, ForeignKeyConstraint, Index, Text, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import metadata, text_enum
from chassis.schema import describe
from services.orgs.domain import MemberRole, RegionType, SuspensionCause


class Base(DeclarativeBase):
    metadata = metadata()
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - as SQLAlchemy declares it
    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy declares it
        str: Text,
        datetime: DateTime(timezone=True),
        MemberRole: text_enum(MemberRole),
        RegionType: text_enum(RegionType),
        SuspensionCause: text_enum(SuspensionCause),
    }


class _Dated:
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Organization(_Dated, Base):
    __tablename__ = "organizations"
    __table_args__ = (
        Index("ix_organizations_created_by", "created_by"),
        Index(
            "uq_organizations_personal",
            "created_by",
            unique=True,
            postgresql_where=text("personal"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    created_by: Mapped[str]
    personal: Mapped[bool] = mapped_column(default=False)
    # use_alter: regions point back at organizations.
    default_region_id: Mapped[str | None] = mapped_column(ForeignKey("regions.id", use_alter=True))
    suspended_at: Mapped[datetime | None]
    suspended_until: Mapped[datetime | None]
    suspension_reason: Mapped[str] = mapped_column(default="")
    suspension_cause: Mapped[SuspensionCause | None]
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


class Member(_Dated, Base):
    __tablename__ = "members"
    __table_args__ = (Index("ix_members_user_id", "user_id", "organization_id"),)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[MemberRole]


class Role(_Dated, Base):
    """Without an organization it is global: there in every organization, and nobody can change it."""

    __tablename__ = "roles"
    __table_args__ = (Index("ix_roles_organization_id", "organization_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE")
    )
    name: Mapped[str]
    description: Mapped[str]
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))


class MemberRoleAssignment(Base):
    __tablename__ = "member_roles"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["members.organization_id", "members.user_id"],
            ondelete="CASCADE",
        ),
        Index("ix_member_roles_role_id", "role_id"),
    )

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    # No cascade: a role that somebody holds cannot be deleted.
    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"), primary_key=True)


class Region(_Dated, Base):
    """With an organization it is that one's own, and of type custom."""

    __tablename__ = "regions"
    __table_args__ = (Index("ix_regions_organization_id", "organization_id"),)

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


class RegionQuota(_Dated, Base):
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


class Person(Base):
    """A user as auth's feed tells; the truth about users is auth's."""

    __tablename__ = "people"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    email_verified: Mapped[bool]


describe(Base.metadata)
