"""Endpoints that are told of events, the messages to them and the log of their delivery."""

from alembic import op

revision = "20261127_webhooks"
down_revision = "20261127_lifecycle"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """CREATE TABLE webhook_endpoints (
        id uuid NOT NULL,
        organization_id uuid NOT NULL,
        url text NOT NULL,
        description text NOT NULL DEFAULT '',
        types text[] NOT NULL DEFAULT '{}',
        disabled_reason text NOT NULL DEFAULT '',
        failing_since timestamptz,
        secret bytea NOT NULL,
        previous_secret bytea,
        previous_secret_until timestamptz,
        revision bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_webhook_endpoints PRIMARY KEY (id),
        CONSTRAINT fk_webhook_endpoints_organization_id_organizations FOREIGN KEY (organization_id)
            REFERENCES organizations (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_webhook_endpoints_organization_id ON webhook_endpoints (organization_id)",
    """CREATE TABLE webhook_messages (
        id text NOT NULL,
        organization_id uuid NOT NULL,
        type text NOT NULL,
        payload text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_webhook_messages PRIMARY KEY (id),
        CONSTRAINT fk_webhook_messages_organization_id_organizations FOREIGN KEY (organization_id)
            REFERENCES organizations (id) ON DELETE CASCADE)""",
    """CREATE INDEX ix_webhook_messages_organization_id
        ON webhook_messages (organization_id, created_at, id)""",
    "CREATE INDEX ix_webhook_messages_created_at ON webhook_messages (created_at)",
    """CREATE TABLE webhook_deliveries (
        id bigint GENERATED ALWAYS AS IDENTITY,
        message_id text NOT NULL,
        endpoint_id uuid NOT NULL,
        status varchar(63) NOT NULL DEFAULT 'pending',
        attempts integer NOT NULL DEFAULT 0,
        claim bigint NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_webhook_deliveries PRIMARY KEY (id),
        CONSTRAINT uq_webhook_deliveries_message_id_endpoint_id UNIQUE (message_id, endpoint_id),
        CONSTRAINT fk_webhook_deliveries_message_id_webhook_messages FOREIGN KEY (message_id)
            REFERENCES webhook_messages (id) ON DELETE CASCADE,
        CONSTRAINT fk_webhook_deliveries_endpoint_id_webhook_endpoints FOREIGN KEY (endpoint_id)
            REFERENCES webhook_endpoints (id) ON DELETE CASCADE)""",
    """CREATE INDEX ix_webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at)
        WHERE status = 'pending'""",
    "CREATE INDEX ix_webhook_deliveries_due_at ON webhook_deliveries (due_at) WHERE status = 'pending'",
    "CREATE INDEX ix_webhook_deliveries_endpoint_id ON webhook_deliveries (endpoint_id, status)",
    """CREATE TABLE webhook_attempts (
        id bigint GENERATED ALWAYS AS IDENTITY,
        delivery_id bigint NOT NULL,
        status_code integer NOT NULL,
        error text NOT NULL DEFAULT '',
        milliseconds integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_webhook_attempts PRIMARY KEY (id),
        CONSTRAINT fk_webhook_attempts_delivery_id_webhook_deliveries FOREIGN KEY (delivery_id)
            REFERENCES webhook_deliveries (id) ON DELETE CASCADE)""",
    "CREATE INDEX ix_webhook_attempts_delivery_id ON webhook_attempts (delivery_id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
