"""How images and their bytes are stored."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Artifact(Base):
    """An image of one organization; the row is the organization's grant to its blobs."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("organization_id", "manifest_digest"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    manifest_digest: Mapped[str]
    repository: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    entrypoint: Mapped[list[str] | None]
    config: Mapped[dict[str, Any]]
    # Its blobs are in the store. False: they must be fetched again, by digest.
    stored: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ArtifactDigest(Base):
    """A digest by which the organization got an artifact: of its manifest, or of an index that names it."""

    __tablename__ = "artifact_digests"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    artifact_id: Mapped[UUID] = mapped_column(
        ForeignKey("artifacts.id", ondelete="CASCADE"), index=True
    )


class Blob(Base):
    """Bytes in the store, or on their way there. Shared by all organizations; see commands.blobs."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    # Of one that was read as a layer: the digest of what it unpacks to, how large that is, and how many entries it has.
    diff_id: Mapped[str | None]
    unpacked_bytes: Mapped[int | None] = mapped_column(BigInteger)
    entries: Mapped[int | None]


class ArtifactBlob(Base):
    """An artifact needs a blob."""

    __tablename__ = "artifact_blobs"

    artifact_id: Mapped[UUID] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"), primary_key=True, index=True)


class Garbage(Base):
    """A blob that lost a reference, to be looked at."""

    __tablename__ = "garbage"

    digest: Mapped[str] = mapped_column(primary_key=True)


class LooseArtifact(Base):
    """An artifact that lost a reference without its snapshot's end, to be looked at."""

    __tablename__ = "loose_artifacts"

    artifact_id: Mapped[UUID] = mapped_column(primary_key=True)
