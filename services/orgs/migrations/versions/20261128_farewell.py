"""Endpoints and what is on its way to them outlive their organization, until they were told of its end."""

from alembic import op

revision = "20261128_farewell"
down_revision = "20261127_webhooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("webhook_endpoints", "webhook_messages"):
        key = f"fk_{table}_organization_id_organizations"
        op.execute(
            f"ALTER TABLE {table} ALTER COLUMN organization_id DROP NOT NULL, DROP CONSTRAINT {key},"
            f" ADD CONSTRAINT {key} FOREIGN KEY (organization_id)"
            " REFERENCES organizations (id) ON DELETE SET NULL"
        )
