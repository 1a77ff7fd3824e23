"""Registries of organizations, their passwords sealed; what opens the installation's own for a while."""

from alembic import op

revision = "20261127_registries"
down_revision = "20261127_layers"

_STATEMENTS = (
    """CREATE TABLE registries (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        name text NOT NULL,
        url text NOT NULL,
        host text NOT NULL,
        path text NOT NULL,
        project text NOT NULL,
        username text NOT NULL,
        password bytea,
        preferred boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT pk_registries PRIMARY KEY (id))""",
    "CREATE INDEX ix_registries_created ON registries (organization_id, created_at DESC, id)",
    "CREATE UNIQUE INDEX uq_registries_preferred ON registries (organization_id) WHERE preferred",
    """CREATE TABLE push_grants (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        secret bytea NOT NULL,
        actions text[] NOT NULL,
        user_id text NOT NULL,
        api_key_id text NOT NULL,
        expires_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_push_grants PRIMARY KEY (id))""",
    "CREATE INDEX ix_push_grants_organization_id ON push_grants (organization_id)",
    "CREATE INDEX ix_push_grants_expires_at ON push_grants (expires_at)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
