"""How things done to many snapshots at once are stored."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class BulkJob(Base):
    """Something done to many snapshots of an organization. Forgotten a week after its end (commands.bulk)."""

    __tablename__ = "bulk_jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    action: Mapped[str]
    total: Mapped[int]
    # The position of the item that is next.
    next: Mapped[int] = mapped_column(server_default=text("0"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    unchanged: Mapped[int] = mapped_column(server_default=text("0"))
    refused: Mapped[int] = mapped_column(server_default=text("0"))
    # Who asked for it, from where: what is done is done in that name.
    origin: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    touched_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


_UNFINISHED = text("finished_at IS NULL")
Index("ix_bulk_jobs_touched_at", BulkJob.touched_at, postgresql_where=_UNFINISHED)
Index("ix_bulk_jobs_organization_id", BulkJob.organization_id, postgresql_where=_UNFINISHED)
Index("ix_bulk_jobs_finished_at", BulkJob.finished_at)


class BulkItem(Base):
    """One snapshot of a job, as it was named, and what became of it."""

    __tablename__ = "bulk_items"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("bulk_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    given: Mapped[str]
    # None: what was given is no id.
    snapshot_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(server_default=text("''"))
    outcome: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    code: Mapped[str] = mapped_column(server_default=text("''"))
