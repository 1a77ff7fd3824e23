"""How versions of snapshots are stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Version(Base):
    """What a snapshot was before, is about to be, or failed to become. What it is stands in its own row."""

    __tablename__ = "versions"

    snapshot_id: Mapped[UUID] = mapped_column(
        ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    image_ref: Mapped[str]
    state: Mapped[str]
    # NULL: it never had one, or has let it go.
    artifact_id: Mapped[UUID | None] = mapped_column(ForeignKey("artifacts.id"))
    # Empty: it never had an artifact.
    ref: Mapped[str] = mapped_column(server_default=text("''"))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    entrypoint: Mapped[list[str] | None]
    pull_id: Mapped[UUID | None] = mapped_column(ForeignKey("pulls.id"))
    # What it was built from. NULL: it was not.
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id"))
    error_code: Mapped[str] = mapped_column(server_default=text("''"))
    error_reason: Mapped[str] = mapped_column(server_default=text("''"))
    error_remedy: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[str] = mapped_column(server_default=text("''"))


Index(
    "ix_versions_artifact_id", Version.artifact_id, postgresql_where=text("artifact_id IS NOT NULL")
)
Index("ix_versions_pull_id", Version.pull_id, postgresql_where=text("pull_id IS NOT NULL"))
Index("ix_versions_build_id", Version.build_id, postgresql_where=text("build_id IS NOT NULL"))


class Trim(Base):
    """A snapshot that has one version more, so that its oldest may have to let go of their bytes."""

    __tablename__ = "trims"

    snapshot_id: Mapped[UUID] = mapped_column(primary_key=True)
