"""Uses are counted, what is not used goes out of use, many snapshots are changed at once."""

from alembic import op

revision = "20261127_lifecycle"
down_revision = "20261127_builds"

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
    """CREATE TABLE turns (
        organization_id uuid NOT NULL,
        served_at timestamptz NOT NULL,
        CONSTRAINT pk_turns PRIMARY KEY (organization_id))
        WITH (fillfactor = 50)""",
    "CREATE INDEX ix_uses_recorded_at ON uses (recorded_at)",
    """CREATE TABLE bulk_jobs (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        action text NOT NULL,
        total int NOT NULL,
        next int NOT NULL DEFAULT 0,
        done int NOT NULL DEFAULT 0,
        unchanged int NOT NULL DEFAULT 0,
        refused int NOT NULL DEFAULT 0,
        origin jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        touched_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CONSTRAINT pk_bulk_jobs PRIMARY KEY (id))""",
    "CREATE INDEX ix_bulk_jobs_touched_at ON bulk_jobs (touched_at) WHERE finished_at IS NULL",
    "CREATE INDEX ix_bulk_jobs_organization_id ON bulk_jobs (organization_id) WHERE finished_at IS NULL",
    "CREATE INDEX ix_bulk_jobs_finished_at ON bulk_jobs (finished_at)",
    """CREATE TABLE bulk_items (
        job_id uuid NOT NULL,
        position int NOT NULL,
        given text NOT NULL,
        snapshot_id uuid,
        name text NOT NULL DEFAULT '',
        outcome smallint NOT NULL DEFAULT 1,
        code text NOT NULL DEFAULT '',
        CONSTRAINT pk_bulk_items PRIMARY KEY (job_id, position),
        CONSTRAINT fk_bulk_items_job_id_bulk_jobs FOREIGN KEY (job_id) REFERENCES bulk_jobs (id) ON DELETE CASCADE)
        WITH (fillfactor = 70)""",
    # From now on every organization with snapshots is looked at again and again, as its idle rule wants it.
    "INSERT INTO reviews (organization_id) SELECT organization_id FROM usage ON CONFLICT DO NOTHING",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
