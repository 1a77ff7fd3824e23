"""What the worker is told from outside."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.encryption import EncryptionSettings
from services.snapshots.contexts.builders import PresenceSettings
from services.snapshots.domain import VERSIONS_KEPT
from services.snapshots.images.credentials import OwnRegistry
from services.snapshots.registries.settings import RegistrySettings


class AuditSettings(BaseSettings):
    """Where rows and bytes are."""

    model_config = SettingsConfigDict(
        env_prefix="SNAPSHOTS_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr
    store_path: Path
    # Set: whole blobs are kept there, at the storage of the contexts; the path is for downloads in progress.
    store_bucket: str = ""


class WorkerSettings(PresenceSettings, RegistrySettings, EncryptionSettings, AuditSettings):
    """Names and defaults; `store_limit_bytes` unset: as much as the disk has, but for a reserve."""

    identity_file: Path
    orgs_target: str
    store_limit_bytes: int | None = Field(None, gt=0)
    worker_metrics_listen: str = ""
    worker_pulls: int = Field(4, ge=1, le=64)
    worker_lease_seconds: float = Field(15, ge=1)
    pull_deadline_seconds: float = Field(3600, gt=0)
    # Of what was pushed to the own registry, since something was pushed to the same project.
    push_keep_days: float = Field(7, gt=0)
    # Of each snapshot, the current one among them; what is older is fetched again when it is gone back to.
    versions_kept: int = Field(VERSIONS_KEPT, ge=1, le=100)

    def own_registry(self) -> OwnRegistry | None:
        """Return the installation's own registry, if there is one."""
        if not self.push_registry:
            return None
        return OwnRegistry(
            self.push_registry.lower(), timedelta(seconds=self.pull_deadline_seconds)
        )
