"""Shapes of the audit log."""

from typing import Annotated, Any

import msgspec
from pydantic import Field

from gateway.schemas.base import Answer, iso
from ratoon.orgs.v1.audit_pb2 import AuditRecord

_DATE = {"format": "date-time"}


class AuditLog(Answer):
    """One line of the log; what is not known is left out."""

    id: str
    actor_id: str = Field(description="The user, or the machine; empty when nobody was known")
    actor_email: str
    actor_api_key_prefix: str = Field(default="", description="First characters of the key used")
    actor_api_key_suffix: str = Field(default="", description="Last characters of the key used")
    organization_id: str = ""
    action: str = Field(description="What was done, or was refused")
    target_type: str = Field(default="", description="What it was done to")
    target_id: str = ""
    status_code: int = Field(default=0, description="The HTTP status that was answered")
    error_message: str = Field(default="", description="Why it was refused: code and message")
    ip_address: str = ""
    user_agent: str = ""
    source: str = ""
    metadata: dict[str, Any] = Field(default={}, description="Particulars, secrets left out")
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]


class PaginatedAuditLogs(Answer):
    items: list[AuditLog]
    total: int = Field(description="How many there are, exactly")
    page: int
    total_pages: int
    next_token: str = Field(default="", description="What asks for the page behind this one")


class AuditTargetScenario(Answer):
    target_type: str
    actions: list[str] = Field(description="In alphabetical order")


class AuditScenarios(Answer):
    targets: list[AuditTargetScenario]


class Line(msgspec.Struct, rename="camel", omit_defaults=True):
    """AuditLog, as it is encoded."""

    id: str
    actor_id: str
    actor_email: str
    action: str
    created_at: str
    actor_api_key_prefix: str = ""
    actor_api_key_suffix: str = ""
    organization_id: str = ""
    target_type: str = ""
    target_id: str = ""
    status_code: int = 0
    error_message: str = ""
    ip_address: str = ""
    user_agent: str = ""
    source: str = ""
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Lines(msgspec.Struct, rename="camel", omit_defaults=True):
    """PaginatedAuditLogs, as it is encoded."""

    items: list[Line]
    total: int
    page: int
    total_pages: int
    next_token: str = ""


def line_from_proto(said: AuditRecord) -> Line:
    return Line(
        id=said.id,
        actor_id=said.actor_id,
        actor_email=said.actor_email,
        action=said.action,
        created_at=iso(said.create_time),
        actor_api_key_prefix=said.actor_api_key_prefix,
        actor_api_key_suffix=said.actor_api_key_suffix,
        organization_id=said.organization_id,
        target_type=said.target_type,
        target_id=said.target_id,
        status_code=said.status_code,
        error_message=said.error_message,
        ip_address=said.ip_address,
        user_agent=said.user_agent,
        source=said.source,
        metadata=msgspec.Raw(said.metadata.encode()) if said.metadata else msgspec.UNSET,
    )
