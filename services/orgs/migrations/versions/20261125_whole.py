"""Invitations and their mails, service accounts, secrets of regions, telemetry and trial settings, revisions."""

from alembic import op

revision = "20261125_whole"
down_revision = "20261122_first"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """ALTER TABLE organizations
        ADD COLUMN revision bigint NOT NULL DEFAULT 1,
        ADD COLUMN preview_warning_enabled boolean NOT NULL DEFAULT false,
        ADD COLUMN secret_quota integer NOT NULL DEFAULT 0,
        ADD COLUMN max_secrets_per_sandbox integer NOT NULL DEFAULT 0,
        ADD COLUMN max_concurrent_snapshot_processing integer,
        ADD COLUMN otel_endpoint text,
        ADD COLUMN otel_header_names text[] NOT NULL DEFAULT '{}',
        ADD COLUMN otel_headers bytea,
        ADD COLUMN experimental_config jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN unverified_since timestamptz""",
    # What an administrator set and the wait for a verified address are two things: each ends by itself.
    """UPDATE organizations SET unverified_since = suspended_at, suspended_at = NULL, suspended_until = NULL,
        suspension_reason = '' WHERE suspension_cause = 'email-verification'""",
    """ALTER TABLE organizations
        DROP CONSTRAINT ck_organizations_suspension,
        DROP COLUMN suspension_cause""",
    """CREATE INDEX ix_organizations_suspended_until ON organizations (suspended_until)
        WHERE suspended_until IS NOT NULL""",
    """ALTER TABLE members
        ADD COLUMN revision bigint NOT NULL DEFAULT 1,
        ADD COLUMN service_account boolean NOT NULL DEFAULT false""",
    "ALTER TABLE roles ADD COLUMN revision bigint NOT NULL DEFAULT 1",
    """ALTER TABLE regions
        ADD COLUMN otel_endpoint text,
        ADD COLUMN proxy_key bytea,
        ADD COLUMN ssh_gateway_key bytea,
        ADD COLUMN snapshot_manager_password bytea""",
    "DROP INDEX ix_regions_organization_id",
    """CREATE UNIQUE INDEX uq_regions_organization_id ON regions (organization_id, name)
        WHERE organization_id IS NOT NULL""",
    "CREATE UNIQUE INDEX uq_regions_proxy_key ON regions (proxy_key)",
    "CREATE UNIQUE INDEX uq_regions_ssh_gateway_key ON regions (ssh_gateway_key)",
    "CREATE UNIQUE INDEX uq_regions_snapshot_manager_password ON regions (snapshot_manager_password)",
    """ALTER TABLE region_quotas
        ADD COLUMN max_disk_per_non_ephemeral_sandbox integer,
        ADD COLUMN total_gpu_quota integer NOT NULL DEFAULT 0""",
    """CREATE TABLE invitations (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        email text NOT NULL,
        invited_by text NOT NULL,
        role varchar(63) NOT NULL,
        expires_at timestamptz NOT NULL,
        status varchar(63) NOT NULL,
        revision bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_invitations PRIMARY KEY (id),
        CONSTRAINT fk_invitations_organization_id_organizations FOREIGN KEY (organization_id)
            REFERENCES organizations (id) ON DELETE CASCADE)""",
    """CREATE UNIQUE INDEX uq_invitations_pending ON invitations (organization_id, email)
        WHERE status = 'pending'""",
    "CREATE INDEX ix_invitations_organization_id ON invitations (organization_id, created_at, id)",
    "CREATE INDEX ix_invitations_email ON invitations (email) WHERE status = 'pending'",
    """CREATE TABLE invitation_roles (
        invitation_id uuid NOT NULL,
        role_id uuid NOT NULL,
        CONSTRAINT pk_invitation_roles PRIMARY KEY (invitation_id, role_id),
        CONSTRAINT fk_invitation_roles_invitation_id_invitations FOREIGN KEY (invitation_id)
            REFERENCES invitations (id) ON DELETE CASCADE,
        CONSTRAINT fk_invitation_roles_role_id_roles FOREIGN KEY (role_id) REFERENCES roles (id))""",
    "CREATE INDEX ix_invitation_roles_role_id ON invitation_roles (role_id)",
    """CREATE TABLE mails (
        id bigint GENERATED ALWAYS AS IDENTITY,
        invitation_id uuid NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL DEFAULT now(),
        sent_at timestamptz,
        last_error text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_mails PRIMARY KEY (id),
        CONSTRAINT fk_mails_invitation_id_invitations FOREIGN KEY (invitation_id)
            REFERENCES invitations (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_mails_due_at ON mails (due_at) WHERE sent_at IS NULL",
    "CREATE INDEX ix_mails_invitation_id ON mails (invitation_id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
