"""How people and their keys are stored."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import metadata, text_enum
from chassis.schema import describe
from services.auth.domain.people import SystemRole


class Base(DeclarativeBase):
    metadata = metadata()
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        bytes: LargeBinary,
        datetime: DateTime(timezone=True),
        int: BigInteger,
        list[str]: ARRAY(Text),
        SystemRole: text_enum(SystemRole),
    }


class UserRow(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    email_verified: Mapped[bool]
    system_role: Mapped[SystemRole]
    local: Mapped[bool]
    settled: Mapped[bool] = mapped_column(default=False)
    claims_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    public_key: Mapped[str | None]
    service_account: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(
            "ix_users_created_at_id",
            "created_at",
            "id",
            postgresql_where=text("NOT service_account"),
        ),
        Index(
            "uq_users_local_email",
            text("lower(email)"),
            unique=True,
            postgresql_where=text("local"),
        ),
    )


class ApiKeyRow(Base):
    """No foreign key to the holder: users are never deleted, and every new key would lock and rewrite its holder's row."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    organization_id: Mapped[UUID | None]
    user_id: Mapped[str]
    name: Mapped[str]
    secret: Mapped[bytes] = mapped_column(unique=True)
    prefix: Mapped[str]
    suffix: Mapped[str]
    permissions: Mapped[list[str]]
    system_admin: Mapped[bool]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    previous_secret: Mapped[bytes | None] = mapped_column(unique=True)
    previous_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        # One account key of a name, too, although it has no organization.
        UniqueConstraint("organization_id", "user_id", "name", postgresql_nulls_not_distinct=True),
    )


class RateWindowRow(Base):
    """What of a window is lent to gateways; a crash of the database empties it."""

    __tablename__ = "rate_windows"
    __table_args__ = {"prefixes": ["UNLOGGED"]}  # noqa: RUF012 - as SQLAlchemy declares it

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    lent: Mapped[int] = mapped_column(BigInteger)
    # By the last lease: a statement that inserts or updates can answer nothing but columns.
    granted: Mapped[int] = mapped_column(BigInteger)


describe(Base.metadata)
