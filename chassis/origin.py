"""Who caused what happens now and from where; set for every request, written beside every event."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Fields as in ratoon.events.v1.Origin. All empty: the system itself."""

    user_id: str = ""
    email: str = ""
    api_key_prefix: str = ""
    api_key_suffix: str = ""
    request_id: str = ""
    source_address: str = ""
    user_agent: str = ""
    source: str = ""
    service: str = ""


SYSTEM = Origin()
current_origin: ContextVar[Origin] = ContextVar("origin", default=SYSTEM)
