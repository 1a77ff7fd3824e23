"""Shapes of what the installation says about itself."""

from typing import Any, Literal

from pydantic import Field

from gateway.schemas.base import Answer


class OidcConfig(Answer):
    issuer: str
    client_id: str
    audience: str
    provider: str = Field(description="The kind of issuer; here a plain OpenID Connect one")


class RateLimitEntry(Answer):
    ttl: int | None = Field(default=None, description="Length of the window in seconds")
    limit: int | None = Field(default=None, description="Requests a window")


class RateLimitConfig(Answer):
    authenticated: RateLimitEntry
    sandbox_create: RateLimitEntry
    sandbox_lifecycle: RateLimitEntry


class DaytonaConfiguration(Answer):
    version: str
    oidc: OidcConfig
    linked_accounts_enabled: bool
    announcements: dict[str, Any]
    proxy_template_url: str
    proxy_toolbox_url: str
    default_snapshot: str
    dashboard_url: str
    max_auto_archive_interval: int
    maintanance_mode: bool = Field(description="Spelled as clients know it")
    environment: str
    rate_limit: RateLimitConfig


class Health(Answer):
    status: Literal["ok"]
