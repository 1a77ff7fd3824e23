"""Keys that are changed and rotated, people who are disabled, key pairs, service accounts."""

from alembic import op

revision = "20261125_keys"
down_revision = "20261125_limits"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """ALTER TABLE users
        ADD COLUMN disabled_at timestamptz,
        ADD COLUMN public_key text,
        ADD COLUMN service_account boolean NOT NULL DEFAULT false""",
    "CREATE INDEX ix_users_created_at_id ON users (created_at, id) WHERE NOT service_account",
    """ALTER TABLE api_keys
        ADD COLUMN revision bigint NOT NULL DEFAULT 1,
        ADD COLUMN previous_secret bytea,
        ADD COLUMN previous_expires_at timestamptz,
        ADD CONSTRAINT uq_api_keys_previous_secret UNIQUE (previous_secret)""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
