"""How builds and their logs are stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Build(Base):
    """A Dockerfile that an organization has or had built. Kept as long as a snapshot tells of it."""

    __tablename__ = "builds"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    # What it is recognized by: see domain.build.
    key: Mapped[str]
    # The published name of the same contents.
    ref: Mapped[str]
    dockerfile: Mapped[str]
    context_hashes: Mapped[list[str]]
    # building, built, failed or cancelled.
    state: Mapped[str] = mapped_column(server_default=text("'building'"))
    artifact_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("artifacts.id", ondelete="SET NULL")
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


Index(
    "uq_builds_building",
    Build.organization_id,
    Build.key,
    unique=True,
    postgresql_where=text("state = 'building'"),
)
Index(
    "ix_builds_built",
    Build.organization_id,
    Build.key,
    Build.created_at.desc(),
    postgresql_where=text("state = 'built'"),
)
Index("ix_builds_artifact_id", Build.artifact_id, postgresql_where=text("artifact_id IS NOT NULL"))


class BuildLog(Base):
    """A piece of a build's log, and at which byte of it the piece begins."""

    __tablename__ = "build_logs"

    build_id: Mapped[UUID] = mapped_column(
        ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    data: Mapped[bytes]
