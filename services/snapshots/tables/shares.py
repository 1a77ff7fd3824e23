"""How shares of snapshots are stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Share(Base):
    """What another organization may do with a snapshot. Nothing, once it has expired, whether the row is there or not."""

    __tablename__ = "shares"

    snapshot_id: Mapped[UUID] = mapped_column(
        ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True
    )
    receiver_id: Mapped[UUID] = mapped_column(primary_key=True)
    # Of the snapshot, which never changes: a name is looked up among what is shared by one look into one index.
    name: Mapped[str] = mapped_column(Text(collation="C"))
    # It may be seen in any case.
    may_use: Mapped[bool]
    expires_at: Mapped[datetime | None]
    # Grows with every change.
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


Index("ix_shares_expires_at", Share.expires_at, postgresql_where=Share.expires_at.is_not(None))
Index("ix_shares_received", Share.receiver_id, Share.name, Share.created_at, Share.snapshot_id)
