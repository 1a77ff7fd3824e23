"""What the worker is told from outside."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.snapshots.domain import VERSIONS_KEPT


class WorkerSettings(BaseSettings):
    """Names and defaults; `store_limit_bytes` unset: as much as the disk has, but for a reserve."""

    model_config = SettingsConfigDict(env_prefix="SNAPSHOTS_", frozen=True, env_ignore_empty=True)

    database_url: SecretStr
    identity_file: Path
    orgs_target: str
    store_path: Path
    store_limit_bytes: int | None = Field(None, gt=0)
    # `host[:port]`, separated by commas: spoken to in plain HTTP.
    insecure_registries: str = ""
    registry_ca_file: Path | None = None
    worker_metrics_listen: str = ""
    worker_pulls: int = Field(4, ge=1, le=64)
    worker_lease_seconds: float = Field(15, ge=1)
    pull_deadline_seconds: float = Field(3600, gt=0)
    # Of each snapshot, the current one among them; what is older is fetched again when it is gone back to.
    versions_kept: int = Field(VERSIONS_KEPT, ge=1, le=100)

    @property
    def insecure_hosts(self) -> frozenset[str]:
        return frozenset(
            host.strip() for host in self.insecure_registries.split(",") if host.strip()
        )
