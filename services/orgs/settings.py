"""What an operator may set."""

from email.headerregistry import HeaderRegistry
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chassis.encryption import EncryptionSettings
from chassis.errors import Refusal
from services.orgs.domain import Defaults, Limits, RegionTotals, display_name
from services.orgs.domain.invitations import Delivery
from services.orgs.domain.webhooks import Reach
from services.orgs.mail.post import Relay


def _shown(name: str) -> str:
    try:
        return display_name(name)
    except Refusal as refusal:
        raise ValueError(refusal.message) from refusal


def _networks(value: Any) -> Any:
    """Read CIDRs; what is none is refused by ValueError."""
    if not isinstance(value, str):
        return value
    return tuple(
        ip_network(word.strip(), strict=False) for word in value.split(",") if word.strip()
    )


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
# As wide as the contract carries them.
Quota = Annotated[int, Field(ge=0, le=2**31 - 1)]


class DatabaseSettings(BaseSettings):
    """All that a migration needs."""

    model_config = SettingsConfigDict(
        env_prefix="ORGS_", env_ignore_empty=True, frozen=True, populate_by_name=True
    )

    database_url: SecretStr


class KeySettings(EncryptionSettings, DatabaseSettings):
    """What changing the keys needs."""


class Settings(KeySettings):
    """All that the server needs. Names without prefix are those of the published self-hosted installation."""

    listen: str
    metrics_listen: str = ""
    identity_file: str
    trust_file: str
    auth_target: str
    snapshots_target: str

    region_id: str = Field("us", alias="DEFAULT_REGION_ID", pattern=r"^[A-Za-z0-9_.-]{1,255}$")
    region_name: Annotated[str, AfterValidator(_shown)] = Field("us", alias="DEFAULT_REGION_NAME")
    region_enforce_quotas: bool = Field(False, alias="DEFAULT_REGION_ENFORCE_QUOTAS")

    total_cpu: Quota = Field(10, alias="DEFAULT_ORG_QUOTA_TOTAL_CPU_QUOTA")
    total_memory: Quota = Field(10, alias="DEFAULT_ORG_QUOTA_TOTAL_MEMORY_QUOTA")
    total_disk: Quota = Field(30, alias="DEFAULT_ORG_QUOTA_TOTAL_DISK_QUOTA")
    max_cpu: Quota = Field(4, alias="DEFAULT_ORG_QUOTA_MAX_CPU_PER_SANDBOX")
    max_memory: Quota = Field(8, alias="DEFAULT_ORG_QUOTA_MAX_MEMORY_PER_SANDBOX")
    max_disk: Quota = Field(10, alias="DEFAULT_ORG_QUOTA_MAX_DISK_PER_SANDBOX")
    snapshots: Quota = Field(30, alias="DEFAULT_ORG_QUOTA_SNAPSHOT_QUOTA")
    snapshot_size: Quota = Field(20, alias="DEFAULT_ORG_QUOTA_MAX_SNAPSHOT_SIZE")
    volumes: Quota = Field(100, alias="DEFAULT_ORG_QUOTA_VOLUME_QUOTA")

    limited_network_egress: bool = Field(
        False, alias="ORGANIZATION_SANDBOX_DEFAULT_LIMITED_NETWORK_EGRESS"
    )
    skip_email_verification: bool = Field(False, alias="SKIP_USER_EMAIL_VERIFICATION")
    # Unset: for ever.
    audit_log_retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = Field(
        None, alias="AUDIT_LOG_RETENTION_DAYS"
    )

    # Networks besides the public ones that webhooks may be sent to: CIDRs, separated by commas.
    webhooks_allowed_networks: Networks = ()
    webhooks_allow_http: bool = False
    # No less than a feed keeps and a day: the ids of messages keep an event from being told twice.
    webhooks_retention_days: Annotated[int, Field(ge=8, le=36_500)] = 14

    dashboard_url: str = Field(
        "http://localhost:3986", alias="DASHBOARD_URL", pattern=r"^https?://[!-~]+$"
    )
    # No host: mails are not sent, and whoever invites passes a link on.
    smtp_host: str = Field("", alias="SMTP_HOST")
    smtp_port: int | None = Field(None, alias="SMTP_PORT", ge=1, le=65_535)
    smtp_user: str = Field("", alias="SMTP_USER")
    smtp_password: SecretStr = Field(SecretStr(""), alias="SMTP_PASSWORD")
    smtp_secure: bool = Field(False, alias="SMTP_SECURE")
    smtp_email_from: str = Field("", alias="SMTP_EMAIL_FROM", validate_default=True)

    @field_validator("smtp_email_from")
    @classmethod
    def _sender(cls, value: str, told: ValidationInfo) -> str:
        """Refuse at the start what would keep every mail back."""
        if not told.data.get("smtp_host"):
            return value
        header: Any = HeaderRegistry()("From", value if value.isprintable() else "")
        if header.defects or len(header.addresses) != 1 or not header.addresses[0].domain:
            raise ValueError("SMTP_HOST needs the address that mails are from")
        return value

    def delivery(self) -> Delivery:
        """Return how invitations reach whom they are for."""
        return Delivery(self.dashboard_url.rstrip("/"), by_mail=bool(self.smtp_host))

    def relay(self) -> Relay | None:
        """Return the mail server, if there is one."""
        if not self.smtp_host:
            return None
        return Relay(
            host=self.smtp_host,
            port=self.smtp_port or (465 if self.smtp_secure else 587),
            user=self.smtp_user,
            password=self.smtp_password.get_secret_value(),
            secure=self.smtp_secure,
            sender=self.smtp_email_from,
        )

    def reach(self) -> Reach:
        """Return what webhooks may be sent to."""
        return Reach(self.webhooks_allowed_networks, self.webhooks_allow_http)

    def defaults(self) -> Defaults:
        """Return what new organizations are given."""
        return Defaults(
            region_id=self.region_id,
            limits=Limits(
                max_cpu_per_sandbox=self.max_cpu,
                max_memory_per_sandbox=self.max_memory,
                max_disk_per_sandbox=self.max_disk,
                snapshot_quota=self.snapshots,
                max_snapshot_size=self.snapshot_size,
                volume_quota=self.volumes,
            ),
            region_totals=RegionTotals(
                total_cpu_quota=self.total_cpu,
                total_memory_quota=self.total_memory,
                total_disk_quota=self.total_disk,
            ),
            limited_network_egress=self.limited_network_egress,
            verified_email_required=not self.skip_email_verification,
        )
