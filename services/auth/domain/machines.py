"""Machines of the system that call the public API with a secret of their own."""

import hashlib
import hmac
from collections.abc import Mapping

NAMES = frozenset({"health-check", "otel-collector", "proxy", "ssh-gateway"})
# Machines of customers' regions, whose secrets orgs knows.
REGION_PROXY, REGION_SSH_GATEWAY = "region-proxy", "region-ssh-gateway"
_SHORTEST = 32
_LEAST_VARIETY = 10
# What shipped configurations and tutorials hold. None of it appears in a random secret.
_PLACEHOLDERS = (
    *("secret", "password", "changeme", "change-me", "change_me", "placeholder", "example"),
    *("default", "api_key", "api-key", "apikey", "your-", "your_", "12345678", "abcdefgh"),
)


class ServiceCredentials:
    """Knows the machines by the digests of their secrets."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Take secrets by machine name; a ValueError names the machine whose secret anybody could guess."""
        for name, secret in secrets.items():
            if name not in NAMES:
                raise ValueError(f"there is no machine named {name!r} with a service credential")
            if guessable(secret):
                raise ValueError(f"the service credential of {name} is a placeholder or too short")
        self._digests = {name: _digest(secret) for name, secret in secrets.items()}

    def machine(self, credential: str) -> str | None:
        """Return the name of the machine that holds the credential; takes as long for every answer."""
        presented = _digest(credential)
        found = None
        for name, known in self._digests.items():
            if hmac.compare_digest(presented, known):
                found = name
        return found


def guessable(secret: str) -> bool:
    lowered = secret.lower()
    return (
        len(secret) < _SHORTEST
        or len(set(secret)) < _LEAST_VARIETY
        or any(p in lowered for p in _PLACEHOLDERS)
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
