"""People and their keys."""

from alembic import op

from chassis.schema import FIRST

revision = "20261122_first"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    """CREATE TABLE users (
        id text NOT NULL,
        name text NOT NULL,
        email text NOT NULL,
        email_verified boolean NOT NULL,
        system_role varchar(63) NOT NULL,
        local boolean NOT NULL,
        settled boolean NOT NULL,
        claims_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_users PRIMARY KEY (id))""",
    "CREATE UNIQUE INDEX uq_users_local_email ON users (lower(email)) WHERE local",
    # Room on the page for the times of use, which are written over and over.
    """CREATE TABLE api_keys (
        id uuid NOT NULL,
        organization_id uuid,
        user_id text NOT NULL,
        name text NOT NULL,
        secret bytea NOT NULL,
        prefix text NOT NULL,
        suffix text NOT NULL,
        permissions text[] NOT NULL,
        system_admin boolean NOT NULL,
        expires_at timestamptz,
        last_used_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_api_keys PRIMARY KEY (id),
        CONSTRAINT uq_api_keys_secret UNIQUE (secret),
        CONSTRAINT uq_api_keys_organization_id_user_id_name UNIQUE NULLS NOT DISTINCT (organization_id, user_id, name)
    ) WITH (fillfactor = 90)""",
)


def upgrade() -> None:
    for statement in (*FIRST, *_TABLES):
        op.execute(statement)
