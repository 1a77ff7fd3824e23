"""What all tables have in common."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    LargeBinary,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import metadata, text_enum
from services.orgs.domain import MemberRole, RegionType
from services.orgs.domain.invitations import InvitationStatus
from services.orgs.domain.webhooks import DeliveryStatus


class Base(DeclarativeBase):
    metadata = metadata()
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - as SQLAlchemy declares it
    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy declares it
        str: Text,
        datetime: DateTime(timezone=True),
        MemberRole: text_enum(MemberRole),
        RegionType: text_enum(RegionType),
        InvitationStatus: text_enum(InvitationStatus),
        DeliveryStatus: text_enum(DeliveryStatus),
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
    }


class Dated:
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Revised:
    """What may be changed on condition that nobody else did meanwhile; every change counts."""

    revision: Mapped[int] = mapped_column(BigInteger, server_default="1")
