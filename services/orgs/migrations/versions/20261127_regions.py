"""What is kept in custom regions."""

from alembic import op

revision = "20261127_regions"
down_revision = "20261126_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """CREATE TABLE region_usage (
            region_id text NOT NULL,
            snapshots bigint NOT NULL,
            CONSTRAINT pk_region_usage PRIMARY KEY (region_id),
            CONSTRAINT fk_region_usage_region_id_regions FOREIGN KEY (region_id)
                REFERENCES regions (id) ON DELETE CASCADE)"""
    )
