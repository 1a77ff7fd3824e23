"""What is found out about a layer is kept with its blob."""

from alembic import op

revision = "20261127_layers"
down_revision = "20261126_reviews"

_STATEMENTS = (
    """ALTER TABLE blobs ADD COLUMN diff_id text, ADD COLUMN unpacked_bytes bigint, ADD COLUMN entries integer""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
