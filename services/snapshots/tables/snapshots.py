"""How snapshots are stored."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Computed, ForeignKey, Index, SmallInteger, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Snapshot(Base):
    """A name for an artifact."""

    __tablename__ = "snapshots"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(Text(collation="C"))
    image_ref: Mapped[str]
    state: Mapped[str]
    # Its place in the published list of states, to sort by.
    state_rank: Mapped[int] = mapped_column(SmallInteger, Computed("state", persisted=True))
    # Grows with every move.
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    general: Mapped[bool] = mapped_column(server_default=text("false"))
    cpu: Mapped[int]
    gpu: Mapped[int]
    memory: Mapped[int]
    disk: Mapped[int]
    entrypoint: Mapped[list[str] | None]
    region_ids: Mapped[list[str]]
    artifact_id: Mapped[UUID | None] = mapped_column(ForeignKey("artifacts.id"))
    # Of the artifact, which never changes: lists need no join.
    ref: Mapped[str] = mapped_column(server_default=text("''"))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    pull_id: Mapped[UUID | None] = mapped_column(ForeignKey("pulls.id"))
    error_code: Mapped[str] = mapped_column(server_default=text("''"))
    error_reason: Mapped[str] = mapped_column(server_default=text("''"))
    error_remedy: Mapped[str] = mapped_column(server_default=text("''"))
    source_sandbox_id: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id"))
    use_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    # The version that it is, and the last one that was asked for.
    version: Mapped[int] = mapped_column(server_default=text("1"))
    last_version: Mapped[int] = mapped_column(server_default=text("1"))
    # When that version was asked for, and by whom. NULL: when the snapshot was made.
    version_at: Mapped[datetime | None]
    version_by: Mapped[str] = mapped_column(server_default=text("''"))


_O, _CREATED = Snapshot.organization_id, Snapshot.created_at.desc()
_OWN = text("NOT general")


def _ordered(name: str, *keys: Any) -> None:
    Index(name, _O, *keys, Snapshot.id, postgresql_where=_OWN)


_ordered("ix_snapshots_created", _CREATED)
_ordered("ix_snapshots_used", Snapshot.last_used_at.desc().nulls_last(), _CREATED)
_ordered("ix_snapshots_used_asc", Snapshot.last_used_at, _CREATED)
_ordered("ix_snapshots_state", Snapshot.state_rank, _CREATED)
_ordered("ix_snapshots_state_desc", Snapshot.state_rank.desc(), _CREATED)
Index(
    "uq_snapshots_organization_id_name",
    _O,
    Snapshot.name,
    unique=True,
    postgresql_include=["id", "general"],
)
Index(
    "ix_snapshots_general",
    Snapshot.name,
    Snapshot.created_at,
    Snapshot.id,
    postgresql_where=text("general"),
)
Index("ix_snapshots_pull_id", Snapshot.pull_id, postgresql_where=text("pull_id IS NOT NULL"))
Index(
    "ix_snapshots_artifact_id",
    Snapshot.artifact_id,
    postgresql_where=text("artifact_id IS NOT NULL"),
)
Index("ix_snapshots_build_id", Snapshot.build_id, postgresql_where=text("build_id IS NOT NULL"))
Index("ix_snapshots_removing", Snapshot.updated_at, postgresql_where=text("state = 'removing'"))
# By when it was made or used last, whichever is later: see commands.idle.
Index(
    "ix_snapshots_idle",
    _O,
    func.greatest(Snapshot.created_at, Snapshot.last_used_at),
    postgresql_where=text("state = 'active'"),
)
Index(
    "ix_snapshots_source",
    _O,
    Snapshot.source_sandbox_id,
    postgresql_where=text("source_sandbox_id <> ''"),
)
Index(
    "ix_snapshots_grams",
    func.name_grams(_O, Snapshot.name),
    postgresql_using="gin",
)
