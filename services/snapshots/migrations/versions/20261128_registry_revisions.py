"""Registries count their changes."""

from alembic import op

revision = "20261128_registry_revisions"
down_revision = "20261127_versions"


def upgrade() -> None:
    op.execute("ALTER TABLE registries ADD COLUMN revision int NOT NULL DEFAULT 1")
