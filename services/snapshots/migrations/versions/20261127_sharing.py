"""Snapshots are shared with other organizations."""

from alembic import op

revision = "20261127_sharing"
down_revision = "20261127_lifecycle"

_STATEMENTS = (
    """CREATE TABLE shares (
        snapshot_id uuid NOT NULL,
        receiver_id uuid NOT NULL,
        name text COLLATE "C" NOT NULL,
        may_use boolean NOT NULL,
        expires_at timestamptz,
        revision int NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_shares PRIMARY KEY (snapshot_id, receiver_id),
        CONSTRAINT fk_shares_snapshot_id_snapshots FOREIGN KEY (snapshot_id)
            REFERENCES snapshots (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_shares_received ON shares (receiver_id, name, created_at, snapshot_id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
