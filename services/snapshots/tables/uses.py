"""How uses of snapshots are stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Use(Base):
    """A sandbox started from a snapshot: told again, it is known. Forgotten after a week (commands.uses)."""

    __tablename__ = "uses"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    snapshot_id: Mapped[UUID]
    # Of the sandbox.
    organization_id: Mapped[UUID]
    used_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
