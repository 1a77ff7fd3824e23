"""How the audit log is stored."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.orgs.tables.base import Base


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
