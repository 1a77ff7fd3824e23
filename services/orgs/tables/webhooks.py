"""How endpoints, the messages to them and the log of their delivery are stored."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, Text, UniqueConstraint, func
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from services.orgs.domain.webhooks import DeliveryStatus
from services.orgs.tables.base import Base, Dated, Revised


class WebhookEndpoint(Dated, Revised, Base):
    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index("ix_webhook_endpoints_organization_id", "organization_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    # None: it is gone, and what was on its way is still delivered.
    organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("organizations.id", ondelete="SET NULL")
    )
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    # Empty: all.
    types: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    # Empty: it is enabled.
    disabled_reason: Mapped[str] = mapped_column(server_default="")
    failing_since: Mapped[datetime | None]
    # Sealed.
    secret: Mapped[bytes]
    previous_secret: Mapped[bytes | None]
    previous_secret_until: Mapped[datetime | None]

    @property
    def enabled(self) -> bool:
        return not self.disabled_reason

    @property
    def holder(self) -> UUID:
        """Return the organization of an endpoint that was found by it."""
        assert self.organization_id is not None
        return self.organization_id


class WebhookMessage(Base):
    """What is told of one event; the id is made of the event, so that it is told once."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        Index("ix_webhook_messages_organization_id", "organization_id", "created_at", "id"),
        Index("ix_webhook_messages_created_at", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    # None: it is gone.
    organization_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("organizations.id", ondelete="SET NULL")
    )
    type: Mapped[str]
    # As it is sent and signed, to the byte.
    payload: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WebhookDelivery(Base):
    """A message on its way to an endpoint."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("message_id", "endpoint_id"),
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "due_at",
            postgresql_where=sql("status = 'pending'"),
        ),
        Index("ix_webhook_deliveries_due_at", "due_at", postgresql_where=sql("status = 'pending'")),
        Index("ix_webhook_deliveries_endpoint_id", "endpoint_id", "status"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    message_id: Mapped[str] = mapped_column(ForeignKey("webhook_messages.id", ondelete="CASCADE"))
    endpoint_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_endpoints.id", ondelete="CASCADE")
    )
    status: Mapped[DeliveryStatus] = mapped_column(server_default="pending")
    # Since it was asked for; a replay begins anew.
    attempts: Mapped[int] = mapped_column(server_default="0")
    # Counts the claims: whoever lost one to somebody else reports nothing.
    claim: Mapped[int] = mapped_column(BigInteger, server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WebhookAttempt(Base):
    __tablename__ = "webhook_attempts"
    __table_args__ = (Index("ix_webhook_attempts_delivery_id", "delivery_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE")
    )
    # 0: there was no answer.
    status_code: Mapped[int]
    error: Mapped[str] = mapped_column(server_default="")
    milliseconds: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
