"""Where contexts are uploaded to, from the environment (SNAPSHOTS_CONTEXTS_…)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Endpoint = Annotated[str, Field(pattern=r"^(https?://[^/?#@\s]+)?$")]


class ContextsSettings(BaseSettings):
    """An S3-compatible storage with AssumeRole. Without an endpoint nothing can be uploaded."""

    model_config = SettingsConfigDict(
        env_prefix="SNAPSHOTS_CONTEXTS_", frozen=True, env_ignore_empty=True
    )

    # Where this process reaches the storage: https://host[:port].
    endpoint: Endpoint = ""
    # Where uploaders reach it; the public clients insist on https. Unset: the same.
    public_endpoint: Endpoint = ""
    # Where credentials are issued. Unset: at the storage itself.
    sts_endpoint: Endpoint = ""
    bucket: str = "ratoon-contexts"
    region: str = "us-east-1"
    # Of an identity that may read, list and delete in the bucket, and assume the role.
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    # What may be done below the bucket; each issue narrows it to one organization.
    role_arn: str = ""
    # The authority behind the storage's certificate, when it is none of the system's.
    ca_file: Path | None = None
    # The bounds are those of the protocol.
    credential_seconds: int = Field(default=3600, ge=900, le=43_200)
    # Of one archive, packed and unpacked.
    max_bytes: int = Field(default=2 << 30, gt=0)
    max_entries: int = Field(default=200_000, gt=0)
    keep_days: float = Field(default=30, gt=0)
