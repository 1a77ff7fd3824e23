"""How the work on images is stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Pull(Base):
    """Work: an image that an organization's snapshots wait for, from a registry or, with `build_id`, from a builder.

    Gone when done, failed or wanted by nobody.
    """

    __tablename__ = "pulls"
    __table_args__ = (UniqueConstraint("organization_id", "image_ref", "digest"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    image_ref: Mapped[str]
    # Fetch this manifest again, whatever the reference names today. Empty: resolve the reference. Of a build, its id, so
    # that builds are told apart.
    digest: Mapped[str] = mapped_column(server_default=text("''"))
    running: Mapped[bool] = mapped_column(server_default=text("false"))
    # When it may be claimed; while it runs, the end of the lease.
    due_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    worker: Mapped[str] = mapped_column(server_default=text("''"))
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    # Set by the first claim.
    deadline_at: Mapped[datetime | None]
    phase: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    bytes_done: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    bytes_total: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id"))


Index(
    "uq_pulls_build_id",
    Pull.build_id,
    unique=True,
    postgresql_where=text("build_id IS NOT NULL"),
)


class PullBlob(Base):
    """A pull needs a blob: it is not collected. `fetched`: the organization has shown that it may have it."""

    __tablename__ = "pull_blobs"

    pull_id: Mapped[UUID] = mapped_column(ForeignKey("pulls.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"), primary_key=True, index=True)
    fetched: Mapped[bool]


class Turn(Base):
    """When work of an organization was last taken up: the one that waited longest is next."""

    __tablename__ = "turns"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    served_at: Mapped[datetime]
