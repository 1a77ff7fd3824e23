"""What an operator sets, from the environment (SNAPSHOTS_…)."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.encryption import EncryptionSettings
from services.snapshots.contexts.builders import PresenceSettings
from services.snapshots.registries.pushed import Pushed
from services.snapshots.registries.settings import RegistrySettings
from services.snapshots.registries.tokens import PushAccess, TokenSigner


class DatabaseSettings(BaseSettings):
    """Where the data is."""

    model_config = SettingsConfigDict(
        env_prefix="SNAPSHOTS_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr


class KeySettings(EncryptionSettings, DatabaseSettings):
    """What changing the encryption keys needs."""


class Settings(PresenceSettings, RegistrySettings, KeySettings):
    """What serving needs."""

    listen: str
    metrics_listen: str = ""
    identity_file: Path
    trust_file: Path
    auth_target: str
    orgs_target: str
    # What tokens for the own registry are signed with, and the certificate that it trusts.
    push_registry_key_file: Path | None = None
    push_registry_certificate_file: Path | None = None
    # How much an organization may have there before it is given no more credentials to push with.
    push_limit_bytes: int = Field(100 << 30, gt=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        files = (self.push_registry_key_file, self.push_registry_certificate_file)
        if self.push_registry and None in files:
            raise ValueError("a push registry needs a key file and a certificate file")
        return self

    def access(self) -> PushAccess | None:
        """Return the way into the own registry, if there is one."""
        key, certificate = self.push_registry_key_file, self.push_registry_certificate_file
        if not self.push_registry or key is None or certificate is None:
            return None
        path = self.push_registry_path
        return PushAccess(
            self.push_registry.lower(),
            TokenSigner(key, certificate),
            pushed=None if path is None else Pushed(path),
            limit_bytes=self.push_limit_bytes,
        )
