"""Snapshots, artifacts and their blobs, pulls, usage."""

from alembic import op

from chassis.schema import FIRST

revision = "20261122_first"
down_revision = None

_STATES = (
    "building", "pending", "pulling", "active", "inactive", "error", "build_failed", "removing", "snapshotting",
)  # fmt: skip
_RANKS = " ".join(f"WHEN '{state}' THEN {rank}" for rank, state in enumerate(_STATES, 1))

_TABLES = (
    """CREATE TABLE artifacts (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        manifest_digest text NOT NULL,
        repository text NOT NULL,
        size_bytes bigint NOT NULL,
        entrypoint text[],
        config jsonb NOT NULL,
        stored boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_artifacts PRIMARY KEY (id),
        CONSTRAINT uq_artifacts_organization_id_manifest_digest UNIQUE (organization_id, manifest_digest))""",
    """CREATE TABLE artifact_digests (
        organization_id uuid NOT NULL,
        digest text NOT NULL,
        artifact_id uuid NOT NULL,
        CONSTRAINT pk_artifact_digests PRIMARY KEY (organization_id, digest),
        CONSTRAINT fk_artifact_digests_artifact_id_artifacts FOREIGN KEY (artifact_id)
            REFERENCES artifacts (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_artifact_digests_artifact_id ON artifact_digests (artifact_id)",
    "CREATE TABLE blobs (digest text NOT NULL, size bigint NOT NULL, CONSTRAINT pk_blobs PRIMARY KEY (digest))",
    """CREATE TABLE artifact_blobs (
        artifact_id uuid NOT NULL,
        digest text NOT NULL,
        CONSTRAINT pk_artifact_blobs PRIMARY KEY (artifact_id, digest),
        CONSTRAINT fk_artifact_blobs_artifact_id_artifacts FOREIGN KEY (artifact_id) REFERENCES artifacts (id),
        CONSTRAINT fk_artifact_blobs_digest_blobs FOREIGN KEY (digest) REFERENCES blobs (digest))""",
    "CREATE INDEX ix_artifact_blobs_digest ON artifact_blobs (digest)",
    """CREATE TABLE pulls (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        image_ref text NOT NULL,
        digest text NOT NULL DEFAULT '',
        running boolean NOT NULL DEFAULT false,
        due_at timestamptz NOT NULL DEFAULT now(),
        worker text NOT NULL DEFAULT '',
        attempt int NOT NULL DEFAULT 0,
        deadline_at timestamptz,
        phase text NOT NULL DEFAULT 'waiting',
        bytes_done bigint NOT NULL DEFAULT 0,
        bytes_total bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_pulls PRIMARY KEY (id),
        CONSTRAINT uq_pulls_organization_id_image_ref_digest UNIQUE (organization_id, image_ref, digest))
        WITH (fillfactor = 70)""",
    "CREATE INDEX ix_pulls_due_at ON pulls (due_at)",
    """CREATE TABLE pull_blobs (
        pull_id uuid NOT NULL,
        digest text NOT NULL,
        fetched boolean NOT NULL,
        CONSTRAINT pk_pull_blobs PRIMARY KEY (pull_id, digest),
        CONSTRAINT fk_pull_blobs_pull_id_pulls FOREIGN KEY (pull_id) REFERENCES pulls (id),
        CONSTRAINT fk_pull_blobs_digest_blobs FOREIGN KEY (digest) REFERENCES blobs (digest))""",
    "CREATE INDEX ix_pull_blobs_digest ON pull_blobs (digest)",
    "CREATE TABLE garbage (digest text NOT NULL, CONSTRAINT pk_garbage PRIMARY KEY (digest))",
    # One row an organization, changed by every create: room in its page keeps the changes there.
    """CREATE TABLE usage (
        organization_id uuid NOT NULL,
        used int NOT NULL DEFAULT 0,
        total int NOT NULL DEFAULT 0,
        ceiling int NOT NULL DEFAULT 0,
        closed boolean NOT NULL DEFAULT false,
        CONSTRAINT pk_usage PRIMARY KEY (organization_id),
        CONSTRAINT ck_usage_quota CHECK (used >= 0 AND used <= ceiling),
        CONSTRAINT ck_usage_total CHECK (total >= 0))
        WITH (fillfactor = 20)""",
    # Large scans of one organization are index-only, which needs pages that are known to be visible to all: vacuum
    # early and often. Names are plain ASCII and sort by their bytes.
    f"""CREATE TABLE snapshots (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        name text COLLATE "C" NOT NULL,
        image_ref text NOT NULL,
        state text NOT NULL,
        state_rank smallint NOT NULL GENERATED ALWAYS AS (CASE state {_RANKS} END) STORED,
        generation int NOT NULL DEFAULT 1,
        general boolean NOT NULL DEFAULT false,
        cpu int NOT NULL,
        gpu int NOT NULL,
        memory int NOT NULL,
        disk int NOT NULL,
        entrypoint text[],
        region_ids text[] NOT NULL,
        artifact_id uuid,
        ref text NOT NULL DEFAULT '',
        size_bytes bigint,
        pull_id uuid,
        error_code text NOT NULL DEFAULT '',
        error_reason text NOT NULL DEFAULT '',
        error_remedy text NOT NULL DEFAULT '',
        source_sandbox_id text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        last_used_at timestamptz,
        CONSTRAINT pk_snapshots PRIMARY KEY (id),
        CONSTRAINT fk_snapshots_artifact_id_artifacts FOREIGN KEY (artifact_id) REFERENCES artifacts (id),
        CONSTRAINT fk_snapshots_pull_id_pulls FOREIGN KEY (pull_id) REFERENCES pulls (id))
        WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02,
              autovacuum_analyze_scale_factor = 0.02)""",
)  # fmt: skip
_INDEXES = (
    "CREATE UNIQUE INDEX uq_snapshots_organization_id_name ON snapshots (organization_id, name) INCLUDE (id, general)",
    "CREATE INDEX ix_snapshots_created ON snapshots (organization_id, created_at DESC, id) WHERE NOT general",
    """CREATE INDEX ix_snapshots_used ON snapshots
        (organization_id, last_used_at DESC NULLS LAST, created_at DESC, id) WHERE NOT general""",
    """CREATE INDEX ix_snapshots_used_asc ON snapshots
        (organization_id, last_used_at, created_at DESC, id) WHERE NOT general""",
    """CREATE INDEX ix_snapshots_state ON snapshots
        (organization_id, state_rank, created_at DESC, id) WHERE NOT general""",
    """CREATE INDEX ix_snapshots_state_desc ON snapshots
        (organization_id, state_rank DESC, created_at DESC, id) WHERE NOT general""",
    "CREATE INDEX ix_snapshots_general ON snapshots (name, created_at, id) WHERE general",
    "CREATE INDEX ix_snapshots_pull_id ON snapshots (pull_id) WHERE pull_id IS NOT NULL",
    "CREATE INDEX ix_snapshots_artifact_id ON snapshots (artifact_id) WHERE artifact_id IS NOT NULL",
    "CREATE INDEX ix_snapshots_removing ON snapshots (updated_at) WHERE state = 'removing'",
    """CREATE INDEX ix_snapshots_source ON snapshots (organization_id, source_sandbox_id)
        WHERE source_sandbox_id <> ''""",
    # Hashes of (organization, three letters): a search costs what it finds, not what the table holds.
    """CREATE FUNCTION name_grams(organization uuid, name text) RETURNS bigint[]
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT array(SELECT DISTINCT hashtextextended(substr(lowered, i, 3), seed)
                     FROM (SELECT lower(name COLLATE "C") AS lowered, uuid_hash_extended(organization, 0) AS seed) AS q,
                          generate_series(1, greatest(length(lowered) - 2, 0)) AS i) $$""",
    """CREATE INDEX ix_snapshots_grams ON snapshots USING gin (name_grams(organization_id, name))
        WITH (fastupdate = off)""",
    "CREATE STATISTICS st_snapshots_grams ON (name_grams(organization_id, name)) FROM snapshots",
)  # fmt: skip


def upgrade() -> None:
    for statement in (*FIRST, *_TABLES, *_INDEXES):
        op.execute(statement)
