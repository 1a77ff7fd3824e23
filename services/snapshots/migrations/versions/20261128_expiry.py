"""Shares that expire are found by the moment; what expired before anybody was told of that is forgotten untold."""

from alembic import op

revision = "20261128_expiry"
down_revision = "20261128_registry_revisions"

_STATEMENTS = (
    "DELETE FROM shares WHERE expires_at <= now()",
    "CREATE INDEX ix_shares_expires_at ON shares (expires_at) WHERE expires_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
