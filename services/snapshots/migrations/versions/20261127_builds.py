"""Builds of Dockerfiles, and what they say while they run."""

from alembic import op

revision = "20261127_builds"
down_revision = "20261127_registries"

_STATEMENTS = (
    """CREATE TABLE builds (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        key text NOT NULL,
        ref text NOT NULL,
        dockerfile text NOT NULL,
        context_hashes text[] NOT NULL,
        state text NOT NULL DEFAULT 'building',
        artifact_id uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_builds PRIMARY KEY (id),
        CONSTRAINT fk_builds_artifact_id_artifacts FOREIGN KEY (artifact_id)
            REFERENCES artifacts (id) ON DELETE SET NULL)""",
    # One at a time runs; what failed stays for who asked for it and is in nobody's way.
    "CREATE UNIQUE INDEX uq_builds_building ON builds (organization_id, key) WHERE state = 'building'",
    "CREATE INDEX ix_builds_built ON builds (organization_id, key, created_at DESC) WHERE state = 'built'",
    "CREATE INDEX ix_builds_artifact_id ON builds (artifact_id) WHERE artifact_id IS NOT NULL",
    """CREATE TABLE build_logs (
        build_id uuid NOT NULL,
        at bigint NOT NULL,
        data bytea NOT NULL,
        CONSTRAINT pk_build_logs PRIMARY KEY (build_id, at),
        CONSTRAINT fk_build_logs_build_id_builds FOREIGN KEY (build_id) REFERENCES builds (id) ON DELETE CASCADE)""",
    """ALTER TABLE pulls ADD COLUMN build_id uuid,
        ADD CONSTRAINT fk_pulls_build_id_builds FOREIGN KEY (build_id) REFERENCES builds (id)""",
    "CREATE UNIQUE INDEX uq_pulls_build_id ON pulls (build_id) WHERE build_id IS NOT NULL",
    """ALTER TABLE snapshots ADD COLUMN build_id uuid,
        ADD CONSTRAINT fk_snapshots_build_id_builds FOREIGN KEY (build_id) REFERENCES builds (id)""",
    "CREATE INDEX ix_snapshots_build_id ON snapshots (build_id) WHERE build_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
