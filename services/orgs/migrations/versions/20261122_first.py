"""Organizations, members, roles, regions, people; the global roles."""

from alembic import op

from chassis.schema import FIRST

revision = "20261122_first"
down_revision = None
branch_labels = None
depends_on = None

_DATED = (
    "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()"
)

_TABLES = (
    f"""CREATE TABLE organizations (
        id uuid NOT NULL,
        name text NOT NULL,
        created_by text NOT NULL,
        personal boolean NOT NULL,
        default_region_id text,
        suspended_at timestamptz,
        suspended_until timestamptz,
        suspension_reason text NOT NULL,
        suspension_cause varchar(63),
        max_cpu_per_sandbox integer NOT NULL,
        max_memory_per_sandbox integer NOT NULL,
        max_disk_per_sandbox integer NOT NULL,
        snapshot_quota integer NOT NULL,
        max_snapshot_size integer NOT NULL,
        volume_quota integer NOT NULL,
        snapshot_deactivation_timeout_minutes integer NOT NULL DEFAULT 20160,
        suspension_cleanup_grace_period_hours integer NOT NULL DEFAULT 24,
        authenticated_rate_limit integer,
        sandbox_create_rate_limit integer,
        sandbox_lifecycle_rate_limit integer,
        authenticated_rate_limit_ttl_seconds integer,
        sandbox_create_rate_limit_ttl_seconds integer,
        sandbox_lifecycle_rate_limit_ttl_seconds integer,
        sandbox_limited_network_egress boolean NOT NULL,
        {_DATED},
        CONSTRAINT pk_organizations PRIMARY KEY (id),
        CONSTRAINT ck_organizations_suspension CHECK ((suspended_at IS NULL) = (suspension_cause IS NULL)))""",
    "CREATE INDEX ix_organizations_created_by ON organizations (created_by)",
    "CREATE UNIQUE INDEX uq_organizations_personal ON organizations (created_by) WHERE personal",
    f"""CREATE TABLE regions (
        id text NOT NULL,
        name text NOT NULL,
        organization_id uuid,
        type varchar(63) NOT NULL,
        enforce_quotas boolean NOT NULL,
        proxy_url text,
        ssh_gateway_url text,
        snapshot_manager_url text,
        {_DATED},
        CONSTRAINT pk_regions PRIMARY KEY (id),
        CONSTRAINT ck_regions_owner CHECK ((type = 'custom') = (organization_id IS NOT NULL)),
        CONSTRAINT fk_regions_organization_id_organizations FOREIGN KEY (organization_id)
            REFERENCES organizations (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_regions_organization_id ON regions (organization_id)",
    """ALTER TABLE organizations ADD CONSTRAINT fk_organizations_default_region_id_regions
        FOREIGN KEY (default_region_id) REFERENCES regions (id)""",
    f"""CREATE TABLE members (
        organization_id uuid NOT NULL,
        user_id text NOT NULL,
        role varchar(63) NOT NULL,
        {_DATED},
        CONSTRAINT pk_members PRIMARY KEY (organization_id, user_id),
        CONSTRAINT fk_members_organization_id_organizations FOREIGN KEY (organization_id)
            REFERENCES organizations (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_members_user_id ON members (user_id, organization_id)",
    f"""CREATE TABLE roles (
        id uuid NOT NULL,
        organization_id uuid,
        name text NOT NULL,
        description text NOT NULL,
        permissions text[] NOT NULL,
        {_DATED},
        CONSTRAINT pk_roles PRIMARY KEY (id),
        CONSTRAINT fk_roles_organization_id_organizations FOREIGN KEY (organization_id)
            REFERENCES organizations (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_roles_organization_id ON roles (organization_id)",
    """CREATE TABLE member_roles (
        organization_id uuid NOT NULL,
        user_id text NOT NULL,
        role_id uuid NOT NULL,
        CONSTRAINT pk_member_roles PRIMARY KEY (organization_id, user_id, role_id),
        CONSTRAINT fk_member_roles_organization_id_members FOREIGN KEY (organization_id, user_id)
            REFERENCES members (organization_id, user_id) ON DELETE CASCADE,
        CONSTRAINT fk_member_roles_role_id_roles FOREIGN KEY (role_id) REFERENCES roles (id))""",
    "CREATE INDEX ix_member_roles_role_id ON member_roles (role_id)",
    f"""CREATE TABLE region_quotas (
        organization_id uuid NOT NULL,
        region_id text NOT NULL,
        total_cpu_quota integer NOT NULL,
        total_memory_quota integer NOT NULL,
        total_disk_quota integer NOT NULL,
        max_cpu_per_sandbox integer,
        max_memory_per_sandbox integer,
        max_disk_per_sandbox integer,
        {_DATED},
        CONSTRAINT pk_region_quotas PRIMARY KEY (organization_id, region_id),
        CONSTRAINT fk_region_quotas_organization_id_organizations FOREIGN KEY (organization_id)
            REFERENCES organizations (id) ON DELETE CASCADE,
        CONSTRAINT fk_region_quotas_region_id_regions FOREIGN KEY (region_id)
            REFERENCES regions (id) ON DELETE CASCADE)""",
    """CREATE TABLE people (
        user_id text NOT NULL,
        name text NOT NULL,
        email text NOT NULL,
        email_verified boolean NOT NULL,
        CONSTRAINT pk_people PRIMARY KEY (user_id))""",
)

# Written out, not computed: what a migration does must not change with the code around it.
_SUPER = """write:registries delete:registries write:snapshots delete:snapshots write:sandboxes delete:sandboxes
    read:volumes write:volumes delete:volumes write:regions delete:regions read:runners write:runners delete:runners
    read:audit_logs"""
_ROLES = (
    ("Developer", "Creates sandboxes", "write:sandboxes"),
    ("Sandboxes Admin", "Creates and deletes sandboxes", "write:sandboxes delete:sandboxes"),
    ("Snapshots Admin", "Creates and deletes snapshots", "write:snapshots delete:snapshots"),
    ("Registries Admin", "Creates and deletes registries", "write:registries delete:registries"),
    ("Super Admin", "Does everything with every resource", _SUPER),
    (
        "Volumes Admin",
        "Reads, creates and deletes volumes",
        "read:volumes write:volumes delete:volumes",
    ),
    ("Auditor", "Reads the audit log", "read:audit_logs"),
    (
        "Infrastructure Admin",
        "Creates and deletes regions and runners",
        "write:regions delete:regions read:runners write:runners delete:runners",
    ),
)


def upgrade() -> None:
    for statement in (*FIRST, *_TABLES):
        op.execute(statement)
    for number, (name, description, permissions) in enumerate(_ROLES, start=1):
        granted = ", ".join(f"'{p}'" for p in permissions.split())
        op.execute(
            "INSERT INTO roles (id, name, description, permissions) VALUES"
            f" ('00000000-0000-0000-0000-{number:012}', '{name}', '{description}', ARRAY[{granted}])"
        )
