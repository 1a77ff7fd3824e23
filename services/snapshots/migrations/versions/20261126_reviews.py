"""Limits have a revision below which nothing is made; organizations are looked at anew when orgs says so."""

from alembic import op

revision = "20261126_reviews"
down_revision = "20261122_first"

_STATEMENTS = (
    "ALTER TABLE usage ADD COLUMN limits_revision bigint NOT NULL DEFAULT 0",
    """CREATE TABLE reviews (
        organization_id uuid NOT NULL,
        due_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_reviews PRIMARY KEY (organization_id))""",
    "CREATE INDEX ix_reviews_due_at ON reviews (due_at)",
    # What was suspended before is looked at once.
    "INSERT INTO reviews (organization_id) SELECT organization_id FROM usage",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
