"""The windows of the limits of requests."""

from alembic import op

revision = "20261125_limits"
down_revision = "20261122_first"
branch_labels = None
depends_on = None

# Not worth a write-ahead log: after a crash the windows begin anew. Room on the page, since rows are written over and
# over.
_WINDOWS = """CREATE UNLOGGED TABLE rate_windows (
    kind text NOT NULL,
    subject text NOT NULL,
    ends_at timestamptz NOT NULL,
    lent bigint NOT NULL,
    granted bigint NOT NULL,
    CONSTRAINT pk_rate_windows PRIMARY KEY (kind, subject)
) WITH (fillfactor = 70)"""


def upgrade() -> None:
    op.execute(_WINDOWS)
