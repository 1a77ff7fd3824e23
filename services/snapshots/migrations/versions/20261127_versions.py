"""Snapshots have versions: what a snapshot is now is its row, what it was and may become are rows beside it."""

from alembic import op

revision = "20261127_versions"
down_revision = "20261127_sharing"

_STATEMENTS = (
    # What is there is version 1, made when the snapshot was; nobody wrote down by whom.
    """ALTER TABLE snapshots ADD COLUMN version int NOT NULL DEFAULT 1,
        ADD COLUMN last_version int NOT NULL DEFAULT 1,
        ADD COLUMN version_at timestamptz,
        ADD COLUMN version_by text NOT NULL DEFAULT ''""",
    """CREATE TABLE versions (
        snapshot_id uuid NOT NULL,
        number int NOT NULL,
        image_ref text NOT NULL,
        state text NOT NULL,
        artifact_id uuid,
        ref text NOT NULL DEFAULT '',
        size_bytes bigint,
        entrypoint text[],
        pull_id uuid,
        build_id uuid,
        error_code text NOT NULL DEFAULT '',
        error_reason text NOT NULL DEFAULT '',
        error_remedy text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text NOT NULL DEFAULT '',
        CONSTRAINT pk_versions PRIMARY KEY (snapshot_id, number),
        CONSTRAINT fk_versions_snapshot_id_snapshots FOREIGN KEY (snapshot_id)
            REFERENCES snapshots (id) ON DELETE CASCADE,
        CONSTRAINT fk_versions_artifact_id_artifacts FOREIGN KEY (artifact_id) REFERENCES artifacts (id),
        CONSTRAINT fk_versions_build_id_builds FOREIGN KEY (build_id) REFERENCES builds (id),
        CONSTRAINT fk_versions_pull_id_pulls FOREIGN KEY (pull_id) REFERENCES pulls (id))""",
    "CREATE INDEX ix_versions_build_id ON versions (build_id) WHERE build_id IS NOT NULL",
    "CREATE INDEX ix_versions_artifact_id ON versions (artifact_id) WHERE artifact_id IS NOT NULL",
    "CREATE INDEX ix_versions_pull_id ON versions (pull_id) WHERE pull_id IS NOT NULL",
    "CREATE TABLE trims (snapshot_id uuid NOT NULL, CONSTRAINT pk_trims PRIMARY KEY (snapshot_id))",
    """CREATE TABLE loose_artifacts (artifact_id uuid NOT NULL,
        CONSTRAINT pk_loose_artifacts PRIMARY KEY (artifact_id))""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
