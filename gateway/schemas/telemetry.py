"""Shapes of where telemetry goes, and of settings under trial."""

from typing import Any

import msgspec
from pydantic import ConfigDict, Field

from gateway.schemas.base import Answer, Asked, Text
from ratoon.orgs.v1 import organization_pb2 as pb

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class OtelConfig(Answer):
    endpoint: str
    headers: dict[str, str] | None = Field(default=None, description="Left out if there are none")
    organization_id: str | None = None


class UpdateOtelConfig(Asked):
    endpoint: Text = Field(min_length=1, description="Address of an OTLP collector")
    headers: dict[str, Any] | None = Field(
        default=None,
        description="All headers; a value of asterisks keeps the one that is stored under the name",
    )

    def to_proto(self) -> pb.OtelConfig:
        texts = {n: v for n, v in (self.headers or {}).items() if isinstance(v, str)}
        return pb.OtelConfig(endpoint=self.endpoint, headers=texts)


class ExperimentalConfig(Asked):
    """Any JSON object."""

    model_config = ConfigDict(extra="allow")

    otel: Any = Field(default=None, description="Stored as otelConfig; absent: that stays as it is")


def config_from_proto(said: pb.OtelConfig, organization_id: str) -> OtelConfig:
    return OtelConfig(
        endpoint=said.endpoint, headers=dict(said.headers) or None, organization_id=organization_id
    )


def masked(said: pb.Organization) -> dict[str, Any] | None:
    """Return where telemetry goes, as everybody in the organization may see it."""
    if not said.HasField("otel_config"):
        return None
    shown: dict[str, Any] = {"endpoint": said.otel_config.endpoint}
    if said.otel_config.headers:
        shown["headers"] = dict(sorted(said.otel_config.headers.items()))
    return shown


def experimental(said: pb.Organization) -> dict[str, Any]:
    """Return the settings under trial, telemetry among them."""
    settings = _decode(said.experimental_config) if said.experimental_config else {}
    otel = masked(said)
    return settings if otel is None else {**settings, "otel": otel}
