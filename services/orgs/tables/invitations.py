"""How invitations and their mails are stored."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from services.orgs.domain import MemberRole
from services.orgs.domain.invitations import InvitationStatus
from services.orgs.tables.base import Base, Dated, Revised


class Invitation(Dated, Revised, Base):
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
