"""Whether inactive snapshots are activated by use."""

from alembic import op

revision = "20261127_lifecycle"
down_revision = "20261127_regions"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE organizations ADD COLUMN snapshot_auto_activation boolean NOT NULL DEFAULT false"
    )
