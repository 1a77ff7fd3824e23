"""The tables that the chassis itself needs in a context's database; each context's first migration makes them."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.sql import func
from sqlalchemy.types import UserDefinedType

FIRST = (
    """CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY,
        xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        type text NOT NULL,
        organization_id text,
        payload jsonb NOT NULL,
        origin jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_outbox PRIMARY KEY (id))""",
    "CREATE INDEX ix_outbox_feed ON outbox (xid, id)",
    "CREATE TABLE outbox_horizon (xid xid8 NOT NULL, id bigint NOT NULL)",
    "INSERT INTO outbox_horizon VALUES ('0', 0)",
    """CREATE TABLE feed_cursors (
        feed text NOT NULL, cursor text NOT NULL, CONSTRAINT pk_feed_cursors PRIMARY KEY (feed))""",
    """CREATE TABLE idempotency (
        scope text NOT NULL, key text NOT NULL, fingerprint bytea NOT NULL, answer bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), CONSTRAINT pk_idempotency PRIMARY KEY (scope, key))""",
    "CREATE INDEX ix_idempotency_created_at ON idempotency (created_at)",
)


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


# So that a comparison with the database recognizes the column.
ischema_names["xid8"] = Xid8


def describe(metadata: MetaData) -> None:
    """Tell `metadata` of these tables, so that a comparison with the database finds nothing amiss."""
    Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("xid", Xid8, nullable=False, server_default=func.pg_current_xact_id()),
        Column("type", Text, nullable=False),
        Column("organization_id", Text),
        Column("payload", JSONB, nullable=False),
        Column("origin", JSONB, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index("ix_outbox_feed", "xid", "id"),
    )
    Table(
        "outbox_horizon",
        metadata,
        Column("xid", Xid8, nullable=False),
        Column("id", BigInteger, nullable=False),
    )
    Table(
        "feed_cursors",
        metadata,
        Column("feed", Text, primary_key=True),
        Column("cursor", Text, nullable=False),
    )
    Table(
        "idempotency",
        metadata,
        Column("scope", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index("ix_idempotency_created_at", "created_at"),
    )
