"""What auth is told from outside."""

import json
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.auth.domain.machines import ServiceCredentials


def _published(name: str) -> AliasChoices:
    return AliasChoices(f"AUTH_OIDC_{name}", f"OIDC_{name}", f"OID_{name}")


class DatabaseSettings(BaseSettings):
    """Where the data is."""

    model_config = SettingsConfigDict(
        env_prefix="AUTH_",
        frozen=True,
        populate_by_name=True,
        # What is wrong is named by its name; the values beside it may be secret.
        hide_input_in_errors=True,
    )

    database_url: SecretStr


class Settings(DatabaseSettings):
    """What serving needs."""

    listen: str
    metrics_listen: str = ""
    identity_file: Path
    trust_file: Path
    orgs_target: str
    service_credentials_file: Path | None = None
    # Published names; `OID_` is how older configurations spell them.
    oidc_issuer_base_url: str = Field("", validation_alias=_published("ISSUER_BASE_URL"))
    oidc_client_id: str = Field("", validation_alias=_published("CLIENT_ID"))
    oidc_audience: str = Field("", validation_alias=_published("AUDIENCE"))
    # By how much the issuer's clock and ours may differ.
    oidc_leeway_seconds: float = Field(
        0, ge=0, le=60, allow_inf_nan=False, validation_alias=_published("LEEWAY_SECONDS")
    )

    @property
    def has_issuer(self) -> bool:
        return bool(self.oidc_issuer_base_url and self.oidc_client_id and self.oidc_audience)

    def machines(self) -> ServiceCredentials:
        """Read the machines' secrets: a JSON object, machine name → secret."""
        if self.service_credentials_file is None:
            return ServiceCredentials({})
        return ServiceCredentials(json.loads(self.service_credentials_file.read_text()))
