"""What the gateway is told from outside: GATEWAY_*, and the names that installations of the published API know."""

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway.limits.bounds import (
    ANONYMOUS,
    AUTHENTICATED,
    FAILED_AUTH,
    SANDBOX_CREATE,
    SANDBOX_LIFECYCLE,
    Bound,
)
from gateway.live.rooms import Most

Words = Annotated[tuple[str, ...], NoDecode]
# An empty variable is one that is not given.
Number = Annotated[int | None, BeforeValidator(lambda value: None if value == "" else value)]


def _also(*names: str) -> Any:
    """Return a field that is read under published names too, which have no prefix."""
    return AliasChoices(*names)


def _limit(name: str) -> Any:
    """Return a number of a limit, which has a published name alone."""
    return Field(default=None, ge=1, validation_alias=_also(f"RATE_LIMIT_{name}"))


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True)

    listen: str = "127.0.0.1:3000"
    metrics_listen: str = ""
    identity_file: str
    auth_target: str
    orgs_target: str
    snapshots_target: str
    # Where clients reach the API, without /api; by default what the request's Host says.
    public_url: str = ""
    # CIDRs, and `unix` for the peers on a unix socket, separated by commas.
    trusted_proxies: Words = ()
    cors_origins: Words = ()
    access_log: bool = False
    null_dates: bool = False
    lists_at_once: int = Field(default=4, ge=1)
    lists_waiting: int = Field(default=128, ge=0)
    # Connections for live events that a gateway holds at a time.
    listeners_of_organization: int = Field(default=200, ge=0)
    listeners_of_credential: int = Field(default=50, ge=0)

    version: str = Field(default="0.1.0", validation_alias=_also("GATEWAY_VERSION", "VERSION"))
    environment: str = Field(
        default="production", validation_alias=_also("GATEWAY_ENVIRONMENT", "ENVIRONMENT")
    )
    maintenance_mode: bool = Field(default=False, validation_alias=_also("MAINTENANCE_MODE"))
    dashboard_url: str = Field(default="", validation_alias=_also("DASHBOARD_URL"))
    default_snapshot: str = Field(default="", validation_alias=_also("DEFAULT_SNAPSHOT"))
    oidc_issuer: str = Field(
        default="",
        validation_alias=_also("PUBLIC_OIDC_DOMAIN", "OIDC_ISSUER_BASE_URL", "OID_ISSUER_BASE_URL"),
    )
    oidc_client_id: str = Field(
        default="", validation_alias=_also("OIDC_CLIENT_ID", "OID_CLIENT_ID")
    )
    oidc_audience: str = Field(default="", validation_alias=_also("OIDC_AUDIENCE", "OID_AUDIENCE"))
    # A limit counts when both its numbers are given.
    anonymous_ttl: Number = _limit("ANONYMOUS_TTL")
    anonymous_limit: Number = _limit("ANONYMOUS_LIMIT")
    failed_auth_ttl: Number = _limit("FAILED_AUTH_TTL")
    failed_auth_limit: Number = _limit("FAILED_AUTH_LIMIT")
    authenticated_ttl: Number = _limit("AUTHENTICATED_TTL")
    authenticated_limit: Number = _limit("AUTHENTICATED_LIMIT")
    sandbox_create_ttl: Number = _limit("SANDBOX_CREATE_TTL")
    sandbox_create_limit: Number = _limit("SANDBOX_CREATE_LIMIT")
    sandbox_lifecycle_ttl: Number = _limit("SANDBOX_LIFECYCLE_TTL")
    sandbox_lifecycle_limit: Number = _limit("SANDBOX_LIFECYCLE_LIMIT")

    @field_validator("trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("public_url", "dashboard_url")
    @classmethod
    def _bare(cls, value: str) -> str:
        return value.rstrip("/")

    def listeners(self) -> Most:
        return Most(self.listeners_of_organization, self.listeners_of_credential)

    def limits(self) -> dict[str, Bound]:
        """Return the limits that count, by kind."""
        numbers = {
            ANONYMOUS: (self.anonymous_limit, self.anonymous_ttl),
            FAILED_AUTH: (self.failed_auth_limit, self.failed_auth_ttl),
            AUTHENTICATED: (self.authenticated_limit, self.authenticated_ttl),
            SANDBOX_CREATE: (self.sandbox_create_limit, self.sandbox_create_ttl),
            SANDBOX_LIFECYCLE: (self.sandbox_lifecycle_limit, self.sandbox_lifecycle_ttl),
        }
        return {
            kind: Bound.of(limit, seconds)
            for kind, (limit, seconds) in numbers.items()
            if limit and seconds
        }
