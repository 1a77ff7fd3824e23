"""How registries, and grants to push to the own one, are stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Registry(Base):
    """What opens a registry of images to an organization."""

    __tablename__ = "registries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    name: Mapped[str]
    # As people see it, and as images name it.
    url: Mapped[str]
    host: Mapped[str]
    path: Mapped[str]
    project: Mapped[str]
    username: Mapped[str]
    # Sealed; see commands.sealed. NULL: there is none.
    password: Mapped[bytes | None]
    preferred: Mapped[bool] = mapped_column(server_default=text("false"))
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    # Not when the transaction began: those who make several at once wait for each other.
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


Index("ix_registries_created", Registry.organization_id, Registry.created_at.desc(), Registry.id)
Index(
    "uq_registries_preferred",
    Registry.organization_id,
    unique=True,
    postgresql_where=text("preferred"),
)


class PushGrant(Base):
    """What opens an organization's project in the installation's own registry, for a while."""

    __tablename__ = "push_grants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(index=True)
    # SHA-256: it is as random as a key.
    secret: Mapped[bytes]
    actions: Mapped[list[str]]
    # Who asked for it and by which key. Empty: nobody, a pull needs it.
    user_id: Mapped[str]
    api_key_id: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
