"""What the worker is told from outside."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """Names and defaults; `store_limit_bytes` unset: as much as the disk has, but for a reserve."""

    model_config = SettingsConfigDict(env_prefix="SNAPSHOTS_", frozen=True, env_ignore_empty=True)

    database_url: SecretStr
    identity_file: Path
    orgs_target: str
    store_path: Path
    # Set: whole blobs are kept there, at the storage of the contexts; the path is for downloads in progress.
    store_bucket: str = ""
    store_limit_bytes: int | None = Field(None, gt=0)
    # `host[:port]`, separated by commas: spoken to in plain HTTP.
    insecure_registries: str = ""
    registry_ca_file: Path | None = None
    worker_metrics_listen: str = ""
    worker_pulls: int = Field(4, ge=1, le=64)
    worker_lease_seconds: float = Field(15, ge=1)
    pull_deadline_seconds: float = Field(3600, gt=0)

    @property
    def insecure_hosts(self) -> frozenset[str]:
        return frozenset(
            host.strip() for host in self.insecure_registries.split(",") if host.strip()
        )
