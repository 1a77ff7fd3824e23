"""What an operator sets, from the environment (SNAPSHOTS_…)."""

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """Where the data is."""

    model_config = SettingsConfigDict(env_prefix="SNAPSHOTS_", frozen=True)

    database_url: SecretStr


class Settings(DatabaseSettings):
    """What serving needs."""

    listen: str
    metrics_listen: str = ""
    identity_file: Path
    trust_file: Path
    auth_target: str
    orgs_target: str
    # Why no builder works for this server, as it is told to who asks for a build; empty: one does.
    no_builder: str = "no builder is set up"
