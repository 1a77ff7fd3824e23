"""What an operator sets, from the environment (SNAPSHOTS_…)."""

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.encryption import EncryptionSettings
from services.snapshots.registries.settings import RegistrySettings


class DatabaseSettings(BaseSettings):
    """Where the data is."""

    model_config = SettingsConfigDict(
        env_prefix="SNAPSHOTS_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr


class KeySettings(EncryptionSettings, DatabaseSettings):
    """What changing the encryption keys needs."""


class Settings(RegistrySettings, KeySettings):
    """What serving needs."""

    listen: str
    metrics_listen: str = ""
    identity_file: Path
    trust_file: Path
    auth_target: str
    orgs_target: str
