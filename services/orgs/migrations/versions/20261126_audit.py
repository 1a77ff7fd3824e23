"""The audit log: records that are never changed, and counters that the database itself keeps exact."""

from alembic import op

revision = "20261126_audit"
down_revision = "20261125_whole"
branch_labels = None
depends_on = None

_STATEMENTS = (
    # No foreign key: the log outlives the organization. Visible to index-only scans soon after it was written.
    """CREATE TABLE audit_records (
        id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        organization_id uuid,
        actor_id text NOT NULL DEFAULT '',
        actor_email text NOT NULL DEFAULT '',
        actor_api_key_prefix text NOT NULL DEFAULT '',
        actor_api_key_suffix text NOT NULL DEFAULT '',
        action text NOT NULL,
        target_type text NOT NULL DEFAULT '',
        target_id text NOT NULL DEFAULT '',
        status_code integer NOT NULL,
        error_message text NOT NULL DEFAULT '',
        ip_address text NOT NULL DEFAULT '',
        user_agent text NOT NULL DEFAULT '',
        source text NOT NULL DEFAULT '',
        metadata jsonb,
        CONSTRAINT pk_audit_records PRIMARY KEY (id),
        CONSTRAINT ck_audit_records_status CHECK (status_code >= 0))
        WITH (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 5000)""",
    # Only for who asks for everybody's records, and says so by what is always true: the records of an organization
    # must never be looked for among those of all.
    "CREATE INDEX ix_audit_records_created_at ON audit_records (created_at, id) WHERE status_code >= 0",
    """CREATE INDEX ix_audit_records_organization_id ON audit_records (organization_id, created_at, id)
        WHERE organization_id IS NOT NULL""",
    # How many records an organization (the zero id: everybody together) has: ever, by day and by hour.
    """CREATE TABLE audit_counts (
        organization_id uuid NOT NULL,
        span text NOT NULL,
        start timestamptz NOT NULL,
        records bigint NOT NULL,
        CONSTRAINT pk_audit_counts PRIMARY KEY (organization_id, span, start)) WITH (fillfactor = 70)""",
    # Rows are counted in the order of the key, so that two transactions cannot wait for each other.
    """CREATE FUNCTION count_audit_records() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO audit_counts AS c (organization_id, span, start, records)
        SELECT o.id, s.span, s.start, count(*) * CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END
        FROM changed,
            LATERAL (VALUES ('00000000-0000-0000-0000-000000000000'::uuid), (changed.organization_id)) AS o (id),
            LATERAL (VALUES ('ever', '-infinity'::timestamptz),
                ('day', date_trunc('day', changed.created_at, 'UTC')),
                ('hour', date_trunc('hour', changed.created_at, 'UTC'))) AS s (span, start)
        WHERE o.id IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (organization_id, span, start) DO UPDATE SET records = c.records + excluded.records;
        IF TG_OP = 'DELETE' THEN
            DELETE FROM audit_counts WHERE records = 0 AND span <> 'ever' AND (organization_id, start) IN (
                SELECT o.id, s.start FROM (SELECT DISTINCT organization_id, date_trunc('hour', created_at, 'UTC') AS hour
                    FROM changed) AS h,
                LATERAL (VALUES ('00000000-0000-0000-0000-000000000000'::uuid), (h.organization_id)) AS o (id),
                LATERAL (VALUES (h.hour), (date_trunc('day', h.hour, 'UTC'))) AS s (start));
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER count_written AFTER INSERT ON audit_records REFERENCING NEW TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION count_audit_records()""",
    """CREATE TRIGGER count_forgotten AFTER DELETE ON audit_records REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION count_audit_records()""",
    # Nothing is changed; what is deleted must be said to be forgotten with age.
    """CREATE FUNCTION keep_audit_records() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'DELETE' OR current_setting('ratoon.forgetting', true) IS DISTINCT FROM 'on' THEN
            RAISE EXCEPTION 'audit_records is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records
        FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_records()""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
