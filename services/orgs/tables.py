"""How organizations, members, roles, regions and people are stored."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import metadata, text_enum
from chassis.schema import describe
from services.orgs.domain import MemberRole, RegionType
from services.orgs.domain.invitations import InvitationStatus


class Base(DeclarativeBase):
    metadata = metadata()
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - as SQLAlchemy declares it
    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy declares it
        str: Text,
        datetime: DateTime(timezone=True),
        MemberRole: text_enum(MemberRole),
        RegionType: text_enum(RegionType),
        InvitationStatus: text_enum(InvitationStatus),
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
    }


class _Dated:
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class _Revised:
    """What may be changed on condition that nobody else did meanwhile; every change counts."""

    revision: Mapped[int] = mapped_column(BigInteger, server_default="1")


class Organization(_Dated, _Revised, Base):
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
    secret_quota: Mapped[int] = mapped_column(server_default="0")
    max_secrets_per_sandbox: Mapped[int] = mapped_column(server_default="0")
    max_concurrent_snapshot_processing: Mapped[int | None]
    otel_endpoint: Mapped[str | None]
    # The names in the clear, so that they can be shown without a key; names and values together sealed.
    otel_header_names: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    otel_headers: Mapped[bytes | None]
    experimental_config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")


class Member(_Dated, _Revised, Base):
    __tablename__ = "members"
    __table_args__ = (Index("ix_members_user_id", "user_id", "organization_id"),)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[MemberRole]
    service_account: Mapped[bool] = mapped_column(server_default=text("false"))


class Role(_Dated, _Revised, Base):
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
    max_disk_per_non_ephemeral_sandbox: Mapped[int | None]
    total_gpu_quota: Mapped[int] = mapped_column(server_default="0")


class RegionUsage(Base):
    """What is kept in a custom region, as the feeds of other contexts tell."""

    __tablename__ = "region_usage"

    region_id: Mapped[str] = mapped_column(
        ForeignKey("regions.id", ondelete="CASCADE"), primary_key=True
    )
    snapshots: Mapped[int] = mapped_column(BigInteger)


class Invitation(_Dated, _Revised, Base):
    __tablename__ = "invitations"
    __table_args__ = (
        # One pending invitation of an address, whoever asks at the same moment.
        Index(
            "uq_invitations_pending",
            "organization_id",
            "email",
            unique=True,
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_invitations_organization_id", "organization_id", "created_at", "id"),
        Index("ix_invitations_email", "email", postgresql_where=text("status = 'pending'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE")
    )
    # Trimmed and in lower case.
    email: Mapped[str]
    invited_by: Mapped[str]
    role: Mapped[MemberRole]
    expires_at: Mapped[datetime]
    status: Mapped[InvitationStatus]


class InvitationRole(Base):
    __tablename__ = "invitation_roles"
    __table_args__ = (Index("ix_invitation_roles_role_id", "role_id"),)

    invitation_id: Mapped[UUID] = mapped_column(
        ForeignKey("invitations.id", ondelete="CASCADE"), primary_key=True
    )
    # No cascade: a role that a pending invitation offers cannot be deleted.
    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"), primary_key=True)


class Mail(Base):
    """A mail to be sent for an invitation; written in the transaction of what it tells."""

    __tablename__ = "mails"
    __table_args__ = (
        Index("ix_mails_due_at", "due_at", postgresql_where=text("sent_at IS NULL")),
        Index("ix_mails_invitation_id", "invitation_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    invitation_id: Mapped[UUID] = mapped_column(ForeignKey("invitations.id", ondelete="CASCADE"))
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Person(Base):
    """A user as auth's feed tells; the truth about users is auth's."""

    __tablename__ = "people"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    email_verified: Mapped[bool]


class AuditRecord(Base):
    """A line of the audit log. Without foreign keys: it outlives what it tells of."""

    __tablename__ = "audit_records"
    __table_args__ = (
        CheckConstraint("status_code >= 0", name="status"),
        # Its condition keeps it away from those who ask for the records of one organization.
        Index(
            "ix_audit_records_created_at",
            "created_at",
            "id",
            postgresql_where=text("status_code >= 0"),
        ),
        Index(
            "ix_audit_records_organization_id",
            "organization_id",
            "created_at",
            "id",
            postgresql_where=text("organization_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    organization_id: Mapped[UUID | None]
    actor_id: Mapped[str] = mapped_column(server_default="")
    actor_email: Mapped[str] = mapped_column(server_default="")
    actor_api_key_prefix: Mapped[str] = mapped_column(server_default="")
    actor_api_key_suffix: Mapped[str] = mapped_column(server_default="")
    action: Mapped[str]
    target_type: Mapped[str] = mapped_column(server_default="")
    target_id: Mapped[str] = mapped_column(server_default="")
    status_code: Mapped[int]
    error_message: Mapped[str] = mapped_column(server_default="")
    ip_address: Mapped[str] = mapped_column(server_default="")
    user_agent: Mapped[str] = mapped_column(server_default="")
    source: Mapped[str] = mapped_column(server_default="")
    # "metadata" is taken: it is where SQLAlchemy keeps the tables.
    particulars: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSONB)


class AuditCount(Base):
    """How many records an organization has, or all have together (the zero id): ever, of a day, of an hour.

    Triggers keep it, in the transaction that writes or forgets records.
    """

    __tablename__ = "audit_counts"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    span: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    records: Mapped[int] = mapped_column(BigInteger)


describe(Base.metadata)
