"""What a custom region is: its name, its addresses, and the machines there that hold a secret."""

import hashlib
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import urlsplit

from chassis.errors import Kind, Refusal

# How many custom regions one organization may have.
MOST_REGIONS = 100
# As clients of the published API name it to the registry.
SNAPSHOT_MANAGER_USER = "daytona"
_NAME = re.compile(r"[A-Za-z0-9_.-]{2,255}")
_LONGEST_URL = 2_048
_SUFFIX = string.ascii_lowercase + string.digits
# Nothing that an address holds in the clear: blanks and control characters are percent-encoded there.
_UNFIT = re.compile(r"[^\x21-\x7e]")
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


class RegionNameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "REGION_NAME_INVALID"


class RegionUrlInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "REGION_URL_INVALID"


class RegionNameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "REGION_NAME_TAKEN"


class RegionLimitReached(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "REGION_LIMIT_REACHED"


class RegionInUse(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "REGION_IN_USE"


class RegionUrlUnset(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "REGION_URL_UNSET"


class RegionCredentialUnknown(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGION_CREDENTIAL_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("no region has such a secret")


class Machine(StrEnum):
    """A machine of a region that holds a secret."""

    PROXY = "proxy"
    SSH_GATEWAY = "ssh_gateway"
    SNAPSHOT_MANAGER = "snapshot_manager"


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a region's row keeps what concerns a machine."""

    address: str
    secret: str
    audited: str


KEPT = {
    Machine.PROXY: _Kept("proxy_url", "proxy_key", "regenerate_proxy_api_key"),
    Machine.SSH_GATEWAY: _Kept(
        "ssh_gateway_url", "ssh_gateway_key", "regenerate_ssh_gateway_api_key"
    ),
    Machine.SNAPSHOT_MANAGER: _Kept(
        "snapshot_manager_url",
        "snapshot_manager_password",
        "regenerate_snapshot_manager_credentials",
    ),
}
_WEB = ("http", "https")
_SCHEMES = {
    "proxy_url": _WEB,
    "ssh_gateway_url": ("ssh", *_WEB),
    "snapshot_manager_url": _WEB,
    "otel_endpoint": _WEB,
}
# By the names of the columns; None: none.
Addresses: TypeAlias = dict[str, str | None]
ADDRESSES = tuple(_SCHEMES)


def fit_name(name: str) -> str:
    """Return the name if a region may bear it."""
    if not _NAME.fullmatch(name):
        raise RegionNameInvalid("a region's name has 2 to 255 of A-Z, a-z, 0-9, _, . and -")
    return name


def fit_addresses(asked: Mapping[str, str]) -> Addresses:
    """Return the addresses that are asked for, the empty ones as none."""
    return {field: _fit(field, url) if url else None for field, url in asked.items()}


def id_for(name: str) -> str:
    """Return an id that a region of that name may get; another one each time."""
    return f"{name.lower()}_{''.join(secrets.choice(_SUFFIX) for _ in range(4))}"


def digest(secret: str) -> bytes:
    """Return what is stored of a secret. It is random enough that nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def _fit(field: str, url: str) -> str:
    schemes = _SCHEMES[field]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        whole = parts.scheme in schemes and bool(_HOST.fullmatch(host)) and port != 0
    except ValueError:
        whole = False
    if not whole or "@" in parts.netloc or len(url) > _LONGEST_URL or _UNFIT.search(url):
        wanted = f"one of {', '.join(schemes)}, a host, no credentials, {_LONGEST_URL} characters"
        raise RegionUrlInvalid(f"{field}: an absolute address is wanted ({wanted})", field=field)
    return url
