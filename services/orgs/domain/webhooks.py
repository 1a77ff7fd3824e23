"""Where organizations are told of events, which there are, and what is refused. Pure: no I/O, no clock."""

import base64
import ipaddress
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from chassis.errors import Kind, Refusal

# What this installation tells of.
EVENT_TYPES = (
    *("snapshot.created", "snapshot.state.updated", "snapshot.removed"),
    *("snapshot.shared", "snapshot.unshared"),
    *(
        "organization.updated",
        "organization.deleted",
        "member.added",
        "member.updated",
        "member.removed",
    ),
    *("invitation.created", "invitation.updated", "invitation.resent", "invitation.cancelled"),
    *("invitation.accepted", "invitation.declined"),
    *("apiKey.created", "apiKey.updated", "apiKey.deleted"),
)
# Published besides: an administrator may send them, and endpoints may ask for them.
KNOWN_TYPES = frozenset(
    {
        *EVENT_TYPES,
        *("sandbox.created", "sandbox.state.updated", "volume.created", "volume.state.updated"),
    }
)
PING = "ping"
# The last that is told. That an organization was made is told to nobody: it has no endpoint yet.
DELETED = "organization.deleted"
MOST_ENDPOINTS = 20
MOST_MESSAGES = 200
OVERLAP_HOURS = 24
# How long nothing may be delivered to an endpoint before it is disabled.
FAILING_DAYS = 5
# After each failed attempt; the sum is a little less than a day.
PAUSES = (5.0, 30.0, 120.0, 600.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0)
_LONGEST_URL, _LONGEST_DESCRIPTION, _LARGEST_PAYLOAD = 2_048, 1_024, 64 * 1024
_SECRET_PREFIX, _SECRET_BYTES = "whsec_", 32
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
# Addresses that stand for others: what is behind them cannot be judged.
_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")))


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Disabled(StrEnum):
    """Why an endpoint is told nothing."""

    REQUESTED = "requested"
    GONE = "gone"
    FAILING = "failing"


class Failure(StrEnum):
    """Why an attempt failed, for programs."""

    HTTP_STATUS = "HTTP_STATUS"
    TIMEOUT = "TIMEOUT"
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    NAME_UNRESOLVED = "NAME_UNRESOLVED"
    CONNECTION_FAILED = "CONNECTION_FAILED"
    TLS_FAILED = "TLS_FAILED"
    PROTOCOL_ERROR = "PROTOCOL_ERROR"


class UrlInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "WEBHOOK_URL_INVALID"


class EventTypeUnknown(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "WEBHOOK_EVENT_TYPE_UNKNOWN"


class DescriptionInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "WEBHOOK_DESCRIPTION_INVALID"


class PayloadInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "WEBHOOK_PAYLOAD_INVALID"


class PageInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "WEBHOOK_PAGE_INVALID"


class EndpointLimitReached(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "WEBHOOK_ENDPOINT_LIMIT_REACHED"


class EndpointNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "WEBHOOK_ENDPOINT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such endpoint")


class EndpointDisabled(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "WEBHOOK_ENDPOINT_DISABLED"

    def __init__(self) -> None:
        super().__init__("the endpoint is disabled: enable it first")


class MessageNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "WEBHOOK_MESSAGE_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such message")


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of one event."""

    id: str
    organization_id: UUID
    type: str
    payload: str
    # When it happened: an endpoint that was made later is not told.
    happened: datetime
    made: datetime


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be called: public addresses, and those of the networks that the operator names."""

    networks: tuple[Network, ...] = ()
    allow_http: bool = False

    def refuses(self, address: str) -> bool:
        """Tell whether nothing may be sent to this numerical address."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return True
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return not (_is_public(found) or any(found in n for n in self.networks))


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint at the moment of an attempt."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. Status 0: no answer; without a failure it succeeded."""

    status: int
    failure: Failure | None
    milliseconds: int

    @property
    def gone(self) -> bool:
        return self.status == 410


def fit_url(url: str, reach: Reach) -> str:
    """Return an address that messages may be sent to, as far as can be told without asking for its host."""
    url = url.strip()
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _LONGEST_URL
    try:
        parts = urlsplit(url) if plain else None
        host = parts.hostname if parts else None
        # Reading the port is checking it.
        fine = parts is not None and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        host, parts, fine = None, None, False
    if parts is None or not host or not fine or "\\" in url or "#" in url:
        raise UrlInvalid("the address has a host, no credentials and no fragment")
    if parts.scheme not in (("https", "http") if reach.allow_http else ("https",)):
        raise UrlInvalid("the address begins with https")
    if host_refused(host, reach):
        raise UrlInvalid("this installation does not call addresses of this network")
    return url


def host_refused(host: str, reach: Reach) -> bool:
    """Tell whether a host that is itself a numerical address may not be called; a name must be resolved first."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return reach.refuses(host)


def fit_types(types: Iterable[str]) -> list[str]:
    """Return types of events, each once, in the order in which they are documented."""
    asked = set(types)
    for unknown in sorted(asked - KNOWN_TYPES):
        shown = unknown[:100]
        raise EventTypeUnknown(f"{shown} is no type of event", eventType=shown)
    return sorted(asked)


def fit_description(text: str) -> str:
    if len(text) > _LONGEST_DESCRIPTION or "\x00" in text:
        raise DescriptionInvalid(f"the description has at most {_LONGEST_DESCRIPTION} characters")
    return text


def fit_payload(text: str) -> str:
    """Return a payload of an administrator's, written compactly."""
    try:
        read = json.loads(text) if len(text) <= _LARGEST_PAYLOAD else None
        written = json.dumps(read, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(written.encode())
    except (ValueError, RecursionError):
        read, size = None, 0
    if not isinstance(read, dict) or size > _LARGEST_PAYLOAD or "\x00" in written:
        raise PayloadInvalid(f"the payload is a JSON object of at most {_LARGEST_PAYLOAD} bytes")
    return written.replace("\\u0000", "\\ufffd")


def new_secret() -> str:
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def pause_after(attempts: int) -> float | None:
    """Return how many seconds after so many failed attempts the next is made; None: there is no other."""
    return PAUSES[attempts - 1] if attempts <= len(PAUSES) else None


def origin_of(url: str) -> str:
    """Return scheme and host: the rest of an address may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not getattr(address, "is_site_local", False)
        and not any(address in network for network in _TRANSLATED)
    )
