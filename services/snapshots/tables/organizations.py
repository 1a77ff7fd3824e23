"""What is kept of organizations."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.snapshots.tables.base import Base


class Usage(Base):
    """What an organization has: places of its quota in use, and own snapshots that are not general."""

    __tablename__ = "usage"
    __table_args__ = (
        CheckConstraint("used >= 0 AND used <= ceiling", name="quota"),
        CheckConstraint("total >= 0", name="total"),
    )

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(server_default=text("0"))
    total: Mapped[int] = mapped_column(server_default=text("0"))
    # The quota as of the last place taken: the database itself refuses one too many.
    ceiling: Mapped[int] = mapped_column(server_default=text("0"))
    # The organization was deleted: nothing is made for it any more.
    closed: Mapped[bool] = mapped_column(server_default=text("false"))
    # Nothing is made under limits of an older revision.
    limits_revision: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class Review(Base):
    """An organization that is to be looked at: its limits may have changed, or its suspension becomes serious."""

    __tablename__ = "reviews"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
