"""Uses are counted, what is not used goes out of use, many snapshots are changed at once."""

from alembic import op

revision = "20261127_lifecycle"
down_revision = "20261126_reviews"

_STATEMENTS = (
    "ALTER TABLE snapshots ADD COLUMN use_count bigint NOT NULL DEFAULT 0",
    """CREATE INDEX ix_snapshots_idle ON snapshots (organization_id, (GREATEST(created_at, last_used_at)))
        WHERE state = 'active'""",
    """CREATE TABLE uses (
        id uuid NOT NULL,
        snapshot_id uuid NOT NULL,
        organization_id uuid NOT NULL,
        used_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_uses PRIMARY KEY (id))""",
    "CREATE INDEX ix_uses_recorded_at ON uses (recorded_at)",
    # From now on every organization with snapshots is looked at again and again, as its idle rule wants it.
    "INSERT INTO reviews (organization_id) SELECT organization_id FROM usage ON CONFLICT DO NOTHING",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
