"""How members, their roles and what is known of people are stored."""

from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from services.orgs.domain import MemberRole
from services.orgs.tables.base import Base, Dated, Revised


class Member(Dated, Revised, Base):
    __tablename__ = "members"
    __table_args__ = (Index("ix_members_user_id", "user_id", "organization_id"),)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[MemberRole]
    service_account: Mapped[bool] = mapped_column(server_default=text("false"))


class Role(Dated, Revised, Base):
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


class Person(Base):
    """A user as auth's feed tells; the truth about users is auth's."""

    __tablename__ = "people"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    email_verified: Mapped[bool]
